/* At stake: code that survives the virtual disk must survive a real one. So nothing that was synced
 * may ever be lost, and everything that was not must be, sometimes, in every combination. */
#include <asx/lab/vdisk.h>

#include "vnet_fixture.h"

#include <algorithm>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>

namespace
{

struct Disk {
    asx_lab_env env{};
    asx_lab_rand rand;
    Choices choices;
    asx_vdisk *disk = nullptr;
    asx_driver *driver = nullptr;

    explicit Disk(asx_vdisk_config config = {}, uint64_t seed = 42, Choices c = Choices::ALL)
        : choices(c)
    {
        asx_lab_rand_init(&rand, seed, seed, 0);
        env.rand = &rand;
        env.choose = [](asx_lab_env *self, uint32_t site, uint32_t n, uint64_t) -> uint32_t {
            Disk *const disk = reinterpret_cast<Disk *>(self);
            return disk->choices == Choices::ALL && site == ASX_CHOICE_FAULT ? n - 1 : 0;
        };
        config.env = &env;
        REQUIRE(asx_vdisk_create(&config, &disk) == ASX_OK);
        asx_vdriver_config vconfig{};
        vconfig.env = &env;
        vconfig.disk = disk;
        REQUIRE(asx_vdriver_create(&vconfig, &driver) == ASX_OK);
    }
    ~Disk()
    {
        driver->ops->destroy(driver);
        asx_vdisk_destroy(disk);
    }
    void turn(Vop &o)
    {
        while (!o.ends) {
            driver->ops->reap(driver, 8);
            driver->ops->park(driver, ASX_TIME_NEVER);
            const asx_instant wants_ns = asx_vdriver_wants(driver);
            if (wants_ns == ASX_TIME_NEVER) {
                return;
            }
            env.now_ns = std::max(env.now_ns, wants_ns);
        }
    }
    std::unique_ptr<Vop> op(asx_op_code code, int fd)
    {
        auto o = std::make_unique<Vop>();
        o->driver = driver;
        o->op.code = (uint8_t)code;
        o->op.fd = fd;
        o->op.done = Vop::done;
        return o;
    }
    asx_err open(const char *path, int flags, int &fd, int at = AT_FDCWD)
    {
        auto o = op(ASX_OP_OPEN, at);
        o->op.path = path;
        o->op.arg = (uint32_t)flags;
        o->submit();
        turn(*o);
        fd = (int)o->op.result;
        return o->op.err;
    }
    int file(const char *path, int flags = O_RDWR | O_CREAT)
    {
        int fd = -1;
        REQUIRE(open(path, flags, fd) == ASX_OK);
        return fd;
    }
    asx_err transfer(asx_op_code code, int fd, void *bytes, size_t len, uint64_t at,
                     uint32_t *moved = nullptr)
    {
        auto o = op(code, fd);
        o->iov[0] = { bytes, len };
        o->op.iov = o->iov;
        o->op.iov_count = 1;
        o->op.offset = at;
        o->submit();
        turn(*o);
        if (moved) {
            *moved = o->op.result;
        }
        return o->op.err;
    }
    asx_err write(int fd, std::string text, uint64_t at)
    {
        uint32_t moved = 0;
        const asx_err err = transfer(ASX_OP_WRITE, fd, text.data(), text.size(), at, &moved);
        CHECK(moved == (err ? 0 : text.size()));
        return err;
    }
    std::string read(int fd, size_t len, uint64_t at)
    {
        std::string text(len, '?');
        uint32_t moved = 0;
        REQUIRE(transfer(ASX_OP_READ, fd, text.data(), len, at, &moved) == ASX_OK);
        return text.substr(0, moved);
    }
    asx_err simple(asx_op_code code, int fd)
    {
        auto o = op(code, fd);
        o->submit();
        turn(*o);
        return o->op.err;
    }
    std::string names(const char *path)
    {
        std::string all;
        CHECK(asx_vdisk_list(
                  disk, path,
                  [](void *arg, const char *name, bool is_dir) {
                      *static_cast<std::string *>(arg) += std::string(name) + (is_dir ? "/ " : " ");
                  },
                  &all) == ASX_OK);
        return all;
    }
    bool exists(const char *path)
    {
        int fd = -1;
        if (open(path, O_RDONLY, fd)) {
            return false;
        }
        CHECK(simple(ASX_OP_CLOSE, fd) == ASX_OK);
        return true;
    }
};
static_assert(offsetof(Disk, env) == 0, "choose() finds the disk by its env");

} // namespace

TEST_CASE("vdisk: files are made, written, read, described and closed", "[lab]")
{
    Disk d;
    int fd = -1;
    CHECK(d.open("/none", O_RDONLY, fd) == asx_err_errno(ENOENT));
    CHECK(asx_vdisk_mkdir(d.disk, "/dir") == ASX_OK);
    CHECK(asx_vdisk_mkdir(d.disk, "/dir") == asx_err_errno(EEXIST));
    fd = d.file("/dir/file");
    CHECK(d.open("/dir/file", O_RDWR | O_CREAT | O_EXCL, fd) == asx_err_errno(EEXIST));
    fd = d.file("/dir/../dir/./file");
    CHECK(d.write(fd, "hello", 4094) == ASX_OK); /* over a block's edge */
    CHECK(d.read(fd, 100, 4090) == std::string("\0\0\0\0hello", 9));
    CHECK(d.read(fd, 100, 5000).empty());
    struct stat st {
    };
    auto o = d.op(ASX_OP_STAT, AT_FDCWD);
    o->op.path = "/dir/file";
    o->op.stat = &st;
    o->submit();
    d.turn(*o);
    CHECK(o->op.err == ASX_OK);
    CHECK(st.st_size == 4099);
    CHECK(S_ISREG(st.st_mode));
    CHECK(st.st_nlink == 1);
    const int dir = d.file("/dir", O_RDONLY | O_DIRECTORY);
    int relative = -1;
    CHECK(d.open("file", O_RDONLY, relative, dir) == ASX_OK);
    CHECK(d.write(relative, "x", 0) == asx_err_errno(EBADF));
    CHECK(d.open("/dir/file/below", O_RDONLY, fd) == asx_err_errno(ENOTDIR));
    CHECK(d.open("/dir", O_RDWR, fd) == asx_err_errno(EISDIR));
    CHECK(d.simple(ASX_OP_CLOSE, relative) == ASX_OK);
    CHECK(d.simple(ASX_OP_FSYNC, relative) == asx_err_errno(EBADF));
    CHECK(d.names("/") == "dir/ ");
}

TEST_CASE("vdisk: a descriptor's own position moves, and appending ignores it", "[lab]")
{
    Disk d;
    const int fd = d.file("/f"), log = d.file("/f", O_WRONLY | O_APPEND);
    CHECK(d.write(fd, "abc", UINT64_MAX) == ASX_OK);
    CHECK(d.write(fd, "def", UINT64_MAX) == ASX_OK);
    CHECK(d.write(log, "!", 0) == ASX_OK);
    CHECK(d.read(fd, 10, 0) == "abcdef!");
    CHECK(d.read(fd, 10, UINT64_MAX) == "!");
    CHECK(asx_vdisk_truncate(d.disk, "/f", 2) == ASX_OK);
    CHECK(asx_vdisk_truncate(d.disk, "/f", 5) == ASX_OK);
    CHECK(d.read(fd, 10, 0) == std::string("ab\0\0\0", 5));
    const int direct = d.file("/f", O_RDWR | O_DIRECT);
    CHECK(d.write(direct, "odd", 0) == asx_err_errno(EINVAL));
}

TEST_CASE("vdisk: names move, are shared, and go", "[lab]")
{
    Disk d;
    const int fd = d.file("/a");
    CHECK(d.write(fd, "A", 0) == ASX_OK);
    CHECK(asx_vdisk_link(d.disk, "/a", "/b") == ASX_OK);
    CHECK(asx_vdisk_mkdir(d.disk, "/d") == ASX_OK);
    CHECK(asx_vdisk_rename(d.disk, "/a", "/d/c") == ASX_OK);
    CHECK(d.names("/") == "b d/ ");
    CHECK(asx_vdisk_rename(d.disk, "/d", "/d/e") == asx_err_errno(EINVAL));
    CHECK(asx_vdisk_unlink(d.disk, "/d") == asx_err_errno(ENOTEMPTY));
    CHECK(asx_vdisk_unlink(d.disk, "/b") == ASX_OK);
    CHECK(asx_vdisk_unlink(d.disk, "/b") == asx_err_errno(ENOENT));
    CHECK(asx_vdisk_unlink(d.disk, "/d/c") == ASX_OK);
    CHECK(d.read(fd, 4, 0) == "A"); /* who has it open still has it */
    CHECK(asx_vdisk_unlink(d.disk, "/d") == ASX_OK);
    CHECK(d.names("/").empty());
}

TEST_CASE("vdisk: of three blocks that were not synced, every subset survives some crash", "[lab]")
{
    std::set<int> subsets;
    bool torn = false;
    const std::string fresh(ASX_VDISK_BLOCK, 'n'), old(ASX_VDISK_BLOCK, 'o');
    for (uint64_t seed = 1; seed <= 300; seed++) {
        Disk d({}, seed);
        int fd = d.file("/f");
        CHECK(d.write(fd, old + old + old, 0) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, fd) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, d.file("/", O_RDONLY)) == ASX_OK);
        for (int i = 0; i < 3; i++) {
            CHECK(d.write(fd, fresh, (uint64_t)i * ASX_VDISK_BLOCK) == ASX_OK);
        }
        asx_vdisk_crash(d.disk);
        CHECK(d.write(fd, "late", 0) == asx_err_errno(EIO));
        fd = d.file("/f", O_RDONLY);
        int subset = 0;
        bool whole = true;
        for (int i = 0; i < 3; i++) {
            const std::string block = d.read(fd, ASX_VDISK_BLOCK, (uint64_t)i * ASX_VDISK_BLOCK);
            const size_t cut = block.find('o');
            REQUIRE(block.size() == ASX_VDISK_BLOCK);
            REQUIRE(block.find('n', cut) == std::string::npos); /* new sectors, then old ones */
            if (cut != 0 && cut != std::string::npos) {
                CHECK(cut % ASX_VDISK_SECTOR == 0);
                torn = true;
                whole = false;
            }
            subset |= (block == fresh) << i;
        }
        if (whole) {
            subsets.insert(subset);
        }
    }
    CHECK(subsets.size() == 8);
    CHECK(torn);
}

TEST_CASE("vdisk: what was synced survives 10^5 crashes", "[lab]")
{
    asx_vdisk_config config{};
    REQUIRE(asx_vdisk_preset("crash_only", &config) == ASX_OK);
    Disk d(config);
    asx_prng prng;
    asx_prng_init(&prng, 7);
    std::string kept(3 * ASX_VDISK_BLOCK, 'k');
    int fd = d.file("/f");
    REQUIRE(d.write(fd, kept, 0) == ASX_OK);
    REQUIRE(d.simple(ASX_OP_FSYNC, d.file("/", O_RDONLY)) == ASX_OK);
    for (int i = 0; i < 100000; i++) {
        REQUIRE(d.simple(ASX_OP_FSYNC, fd) == ASX_OK);
        const uint64_t at = asx_prng_below(&prng, kept.size() - 4); /* never synced */
        const bool writes = asx_prng_below(&prng, 2);
        if (writes) {
            REQUIRE(d.write(fd, "lost", at) == ASX_OK);
        }
        asx_vdisk_crash(d.disk);
        fd = d.file("/f");
        std::string now = d.read(fd, kept.size() + 1, 0);
        if (writes && now != kept) { /* it came through, or in part: all else must be there */
            std::string with = kept;
            with.replace(at, 4, "lost");
            bool known = now.size() == kept.size();
            for (size_t j = 0; known && j < kept.size(); j++) {
                known = now[j] == kept[j] || now[j] == with[j];
            }
            REQUIRE(known);
            kept = now;
        }
        REQUIRE((now == kept));
        if (i % 16 == 0) { /* the dead descriptors go with their process */
            for (int old = 3; old < fd; old++) {
                d.driver->ops->close_now(d.driver, old);
            }
        }
    }
}

TEST_CASE("vdisk: a rename without a directory sync may be undone, never torn", "[lab]")
{
    int moved = 0, reverted = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        Disk d({}, seed);
        const int fd = d.file("/new"), old = d.file("/f");
        CHECK(d.write(fd, "new", 0) == ASX_OK);
        CHECK(d.write(old, "old", 0) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, fd) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, old) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, d.file("/", O_RDONLY)) == ASX_OK);
        CHECK(asx_vdisk_rename(d.disk, "/new", "/f") == ASX_OK);
        const bool synced = seed % 2;
        if (synced) {
            CHECK(d.simple(ASX_OP_FSYNC, d.file("/", O_RDONLY)) == ASX_OK);
        }
        asx_vdisk_crash(d.disk);
        const std::string text = d.read(d.file("/f", O_RDONLY), 3, 0);
        const bool is_new = text == "new";
        CHECK((is_new || text == "old"));
        CHECK(d.exists("/new") == !is_new);
        CHECK((is_new || !synced));
        moved += is_new && !synced;
        reverted += !is_new;
    }
    CHECK(moved > 5);
    CHECK(reverted > 5);
}

TEST_CASE("vdisk: a file whose directory was never synced may be gone with its synced bytes",
          "[lab]")
{
    int there = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        Disk d({}, seed);
        const int fd = d.file("/f");
        CHECK(d.write(fd, "bytes", 0) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, fd) == ASX_OK);
        asx_vdisk_crash(d.disk);
        there += d.exists("/f");
    }
    CHECK(there > 5);
    CHECK(there < 55);
}

TEST_CASE("vdisk: after a failed sync a later one succeeds, and the bytes are gone", "[lab]")
{
    asx_vdisk_config config{};
    config.faults.sync_eio_ppm = 500000;
    Disk d(config);
    const int fd = d.file("/f");
    CHECK(d.simple(ASX_OP_FSYNC, d.file("/", O_RDONLY)) == ASX_OK);
    CHECK(d.write(fd, "bytes", 0) == ASX_OK);
    CHECK(d.simple(ASX_OP_FSYNC, fd) == asx_err_errno(EIO));
    asx_vdisk_heal(d.disk);
    CHECK(d.simple(ASX_OP_FSYNC, fd) == ASX_OK);
    CHECK(d.read(fd, 5, 0) == "bytes"); /* in the cache */
    asx_vdisk_crash(d.disk);
    CHECK(d.read(d.file("/f", O_RDONLY), 5, 0) != "bytes");
}

/* A log that acknowledges an entry when it is synced, and nothing any more after a failed sync. */
static bool log_append(Disk &d, int fd, bool &failed, uint64_t &end, const std::string &entry)
{
    if (failed || d.write(fd, entry, end)) {
        return false;
    }
    failed = d.simple(ASX_OP_FSYNC, fd) != ASX_OK;
    end += failed ? 0 : entry.size();
    return !failed;
}

TEST_CASE("vdisk: a log that stops at a failed sync never loses what it acknowledged", "[lab]")
{
    int refused = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        asx_vdisk_config config{};
        config.faults.sync_eio_ppm = 50000;
        config.early_ppm = 250000;
        Disk d(config, seed);
        const int fd = d.file("/log");
        CHECK(d.simple(ASX_OP_FSYNC, d.file("/", O_RDONLY)) == ASX_OK);
        bool failed = false;
        uint64_t end = 0;
        std::string acknowledged;
        for (int i = 0; i < 30; i++) {
            const std::string entry = "entry " + std::to_string(i) + "\n";
            if (log_append(d, fd, failed, end, entry)) {
                acknowledged += entry;
            } else {
                refused++;
            }
        }
        asx_vdisk_crash(d.disk);
        asx_vdisk_heal(d.disk);
        CHECK(d.read(d.file("/log", O_RDONLY), acknowledged.size(), 0) == acknowledged);
    }
    CHECK(refused > 100);
}

TEST_CASE("vdisk: each fault is reached, and heals", "[lab]")
{
    asx_vdisk_config config{};
    asx_vdisk_faults &f = config.faults;
    const std::string text(10000, 't');
    SECTION("EIO once")
    {
        f.read_eio_ppm = f.write_eio_ppm = 500000;
        Disk d(config);
        const int fd = d.file("/f");
        char byte;
        CHECK(d.write(fd, text, 0) == asx_err_errno(EIO));
        CHECK(d.transfer(ASX_OP_READ, fd, &byte, 1, 0) == asx_err_errno(EIO));
        asx_vdisk_heal(d.disk);
        CHECK(d.write(fd, text, 0) == ASX_OK);
        CHECK(d.read(fd, 20000, 0) == text);
    }
    SECTION("EIO from then on")
    {
        f.read_sticky_ppm = 500000;
        Disk d(config);
        const int fd = d.file("/f");
        char byte;
        CHECK(d.write(fd, text, 0) == ASX_OK);
        CHECK(d.transfer(ASX_OP_READ, fd, &byte, 1, 0) == asx_err_errno(EIO));
        CHECK(d.transfer(ASX_OP_READ, fd, &byte, 1, 0) == asx_err_errno(EIO));
        asx_vdisk_heal(d.disk);
        CHECK(d.read(fd, 20000, 0) == text);
    }
    SECTION("short")
    {
        f.short_ppm = 500000;
        Disk d(config);
        const int fd = d.file("/f");
        uint32_t moved = 0;
        CHECK(d.transfer(ASX_OP_WRITE, fd, const_cast<char *>(text.data()), text.size(), 0,
                         &moved) == ASX_OK);
        CHECK(moved > 0);
        CHECK(moved < text.size());
    }
    SECTION("a wrong bit")
    {
        f.rot_ppm = 500000;
        Disk d(config);
        const int fd = d.file("/f");
        CHECK(d.write(fd, text, 0) == ASX_OK);
        CHECK(d.read(fd, 20000, 0) != text);
        asx_vdisk_heal(d.disk);
        CHECK(d.read(fd, 20000, 0) == text);
    }
    SECTION("lost and misdirected writes show after a crash only")
    {
        const bool lost = GENERATE(true, false);
        (lost ? f.lost_ppm : f.misdirected_ppm) = 500000;
        Disk d(config, 3);
        const int fd = d.file("/f");
        std::string blocks;
        for (char c : { 'a', 'b', 'c', 'd' }) {
            blocks += std::string(ASX_VDISK_BLOCK, c);
        }
        CHECK(d.write(fd, blocks, 0) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, fd) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, d.file("/", O_RDONLY)) == ASX_OK);
        CHECK(d.read(fd, blocks.size(), 0) == blocks);
        asx_vdisk_crash(d.disk);
        CHECK(d.read(d.file("/f"), blocks.size(), 0) != blocks);
    }
    SECTION("full")
    {
        config.bytes_max = 8000;
        Disk d(config);
        const int fd = d.file("/f");
        CHECK(d.write(fd, text, 0) == asx_err_errno(ENOSPC));
        CHECK(d.write(fd, text.substr(0, 8000), 0) == ASX_OK);
        CHECK(d.write(fd, "x", 8000) == asx_err_errno(ENOSPC));
        CHECK(asx_vdisk_truncate(d.disk, "/f", 10) == ASX_OK);
        CHECK(d.write(fd, "x", 7999) == ASX_OK);
    }
    SECTION("slow, interrupted, and silent until it heals")
    {
        config.latency_ns = asx_ms(1);
        f.spike_ppm = 500000;
        Disk d(config);
        const int fd = d.file("/f");
        const asx_instant start_ns = d.env.now_ns;
        CHECK(d.write(fd, "x", 0) == ASX_OK);
        CHECK(d.env.now_ns - start_ns == asx_ms(101));
        asx_vdisk_config more = config;
        more.faults = {};
        more.faults.intr_ppm = 500000;
        Disk i(more);
        int none = -1;
        CHECK(i.open("/f", O_RDONLY, none) == asx_err_errno(EINTR));
        more.faults = {};
        more.faults.hang_ppm = 500000;
        Disk h(more);
        auto o = h.op(ASX_OP_OPEN, AT_FDCWD), c = h.op(ASX_OP_OPEN, AT_FDCWD);
        for (Vop *v : { o.get(), c.get() }) {
            v->op.path = "/f";
            v->op.arg = O_RDWR | O_CREAT;
            v->submit();
            h.turn(*v);
            CHECK(v->ends == 0);
        }
        c->cancel();
        h.turn(*c);
        CHECK(c->failed(ECANCELED));
        asx_vdisk_heal(h.disk);
        h.turn(*o);
        CHECK(o->ends == 1);
        CHECK(o->op.err == ASX_OK);
    }
}

TEST_CASE("vdisk: presets, and a name that is none", "[lab]")
{
    for (const char *name : { "perfect", "crash_only", "sad", "hostile" }) {
        asx_vdisk_config config{};
        CHECK(asx_vdisk_preset(name, &config) == ASX_OK);
        Disk d(config, 11, Choices::NONE);
        const int fd = d.file("/f");
        CHECK(d.write(fd, "no fault that is not chosen", 0) == ASX_OK);
        CHECK(d.simple(ASX_OP_FSYNC, fd) == ASX_OK);
    }
    asx_vdisk_config config{};
    CHECK(asx_vdisk_preset("tape", &config) == ASX_E(INVALID_ARGUMENT));
}
