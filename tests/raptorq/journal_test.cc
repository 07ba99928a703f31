/* A receiver's journal. At stake: what came before a death is not asked for again; whatever became
 * of the file meanwhile, no wrong object is ever stored; and a journal of something else is told
 * apart and left alone. */
#include <asx/raptorq/net/journal.h>

#include "transfer.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <unistd.h>

namespace fs = std::filesystem;
using rq::transfer;

namespace
{

struct place {
    std::string root, path;
    place()
    {
        char name[] = "/tmp/asx-rq-journal-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        root = name;
        path = root + "/out.resume";
    }
    place(const place &) = delete;
    place &operator=(const place &) = delete;
    ~place()
    {
        fs::remove_all(root);
    }
    rq::bytes content() const
    {
        std::ifstream file(path, std::ios::binary);
        return rq::bytes(std::istreambuf_iterator<char>(file), {});
    }
    void set(const rq::bytes &to) const
    {
        std::ofstream(path, std::ios::binary).write((const char *)to.data(), (long)to.size());
    }
};

asx_rq_journal *open(const place &p)
{
    asx_rq_journal *journal = nullptr;
    REQUIRE(asx_rq_journal_open(&journal, p.path.c_str()) == ASX_OK);
    return journal;
}

void follow(transfer &t, asx_rq_journal *journal)
{
    t.taken = [journal](const rq::bytes &bytes) {
        if (!asx_rq_journal_add(journal, bytes.data(), bytes.size())) {
            REQUIRE(asx_rq_journal_write(journal) == ASX_OK);
            REQUIRE(asx_rq_journal_add(journal, bytes.data(), bytes.size()));
        }
    };
}

/* Another receiver in the place of the one that died. */
asx_err revive(transfer &t, asx_rq_journal *journal)
{
    t.place.target.assign(t.place.target.size(), 0x11);
    t.start_receiver();
    follow(t, journal);
    return asx_rq_journal_replay(journal, t.receiver);
}

/* A transfer that ran for a while, and what its receiver has taken. */
void begin(transfer &t, const place &p, uint64_t symbols)
{
    asx_rq_journal *journal = open(p);
    t.there.loss_ppm = 150000;
    t.start_sender();
    t.start_receiver();
    follow(t, journal);
    while (t.came().symbols < symbols) {
        t.run(t.now + 1000000);
    }
    REQUIRE(t.place.stores == 0);
    t.taken = nullptr;
    CHECK(asx_rq_journal_close(journal, false));
}

} // namespace

TEST_CASE("journal: a receiver that died goes on with all that it had", "[raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        CAPTURE(seed);
        place p;
        transfer t(500000, seed);
        begin(t, p, 300 + seed * 100);
        const auto before = t.came();
        asx_rq_journal *journal = open(p);
        REQUIRE(revive(t, journal) == ASX_OK);
        CHECK(t.came().blocks_done == before.blocks_done);
        CHECK(t.came().duplicates + t.came().forged == 0);
        /* those that came when their block was done are counted, and not kept */
        CHECK(t.came().symbols <= before.symbols);
        CHECK(t.came().symbols + 20 > before.symbols);
        if (seed % 2 == 0) { /* the sender died as well */
            t.flying.clear();
            t.start_sender();
        }
        const uint64_t sent = seed % 2 == 0 ? 0 : t.sent().sources + t.sent().repairs;
        t.run();
        CHECK(t.step == ASX_RQ_STEP_ENDED);
        REQUIRE(t.arrived());
        const uint64_t more = t.sent().sources + t.sent().repairs - sent;
        CHECK(more < (2500 - before.symbols) * 3 / 2 + 200);
        CHECK_FALSE(asx_rq_journal_close(journal, true));
        CHECK(fs::is_empty(p.root));
    }
}

TEST_CASE("journal: one that was cut or changed costs symbols and nothing else", "[raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        CAPTURE(seed);
        place p;
        transfer t(300000, seed);
        t.is_keyed = seed % 4 != 0;
        begin(t, p, 600);
        const uint64_t before = t.came().symbols;
        rq::bytes bytes = p.content();
        const size_t first = ASX_RQ_FRAME_SIZE(0); /* the OFFER */
        const size_t at = first + asx_prng_below(&t.prng, bytes.size() - first);
        if (seed % 2 == 0) {
            bytes.resize(at);
        } else {
            bytes[at] ^= (uint8_t)(1 + asx_prng_below(&t.prng, 255));
        }
        p.set(bytes);
        asx_rq_journal *journal = open(p);
        REQUIRE(revive(t, journal) == ASX_OK);
        CHECK(t.came().symbols < before);
        /* what is written from here on follows a whole datagram */
        t.run();
        REQUIRE(t.arrived());
        CHECK(asx_rq_journal_close(journal, false));
        t.place.stores = 0;
        journal = open(p);
        REQUIRE(revive(t, journal) == ASX_OK);
        CHECK(asx_rq_receiver_state_of(t.receiver) == ASX_RQ_RECEIVER_WHOLE);
        REQUIRE(asx_rq_receiver_finish(t.receiver) == ASX_OK);
        CHECK(t.place.target == t.object);
        asx_rq_journal_close(journal, true);
    }
}

TEST_CASE("journal: of another key, or of nothing we know, is refused and left as it is",
          "[raptorq][net]")
{
    place p;
    transfer t(200000, 3);
    begin(t, p, 300);
    const rq::bytes real = p.content();
    const rq::bytes text = { 'n', 'o', 't', ' ', 'o', 'u', 'r', 's' };
    t.their_keys = rq::ring_of(77);
    for (const rq::bytes &bytes : { real, text }) {
        p.set(bytes);
        asx_rq_journal *journal = open(p);
        CHECK(revive(t, journal) == ASX_RQ_E(BAD_JOURNAL));
        CHECK(t.came().symbols == 0);
        CHECK(asx_rq_journal_close(journal, false));
        CHECK(p.content() == bytes);
    }
}

TEST_CASE("journal: belongs to one process, and is a file of its own", "[raptorq][net]")
{
    place p;
    asx_rq_journal *journal = open(p), *other = nullptr;
    CHECK(asx_rq_journal_open(&other, p.path.c_str()) == asx_err_errno(EWOULDBLOCK));
    CHECK_FALSE(asx_rq_journal_close(journal, false)); /* empty: nothing to keep */
    CHECK(fs::is_empty(p.root));
    CHECK(asx_rq_journal_open(&other, p.root.c_str()) == asx_err_errno(EISDIR));
    CHECK(asx_rq_journal_open(&other, "/dev/null") == asx_err_errno(EINVAL));
    CHECK(asx_rq_journal_open(&other, (p.root + "/no/where").c_str()) == asx_err_errno(ENOENT));
}

TEST_CASE("journal: a disk that takes no more ends the journal, not the transfer", "[raptorq][net]")
{
    place p;
    transfer t(200000, 5);
    rlimit old;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    asx_rq_journal *journal = open(p);
    t.start_sender();
    t.start_receiver();
    asx_err err = ASX_OK;
    t.taken = [&](const rq::bytes &bytes) {
        (void)!asx_rq_journal_add(journal, bytes.data(), bytes.size());
        const rlimit small = { 50000, old.rlim_max };
        setrlimit(RLIMIT_FSIZE, &small);
        err = asx_rq_journal_write(journal);
        setrlimit(RLIMIT_FSIZE, &old);
    };
    t.run();
    std::signal(SIGXFSZ, handler);
    CHECK(err == asx_err_errno(EFBIG));
    CHECK(t.arrived());
    CHECK(asx_rq_journal_close(journal, false));
    journal = open(p);
    REQUIRE(revive(t, journal) == ASX_OK);
    CHECK(t.came().symbols > 100);
    CHECK(t.came().symbols < 50000 / 200);
    asx_rq_journal_close(journal, true);
}
