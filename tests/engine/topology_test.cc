/* At stake: a container with half a core must not get a shard a core of its host. The cgroup files
 * are made up in a directory, so that every shape of them is tried. */
#include <asx/engine/topology.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>
#include <sys/stat.h>

namespace
{

struct tree {
    std::string root;
    tree()
    {
        char path[] = "/tmp/asx-cgroup-XXXXXX";
        REQUIRE(mkdtemp(path) != nullptr);
        root = path;
    }
    ~tree()
    {
        CHECK(std::system(("rm -rf " + root).c_str()) == 0);
    }
    void file(const std::string &path, const std::string &text) const
    {
        for (size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) {
            mkdir((root + "/" + path.substr(0, at)).c_str(), 0755);
        }
        std::ofstream(root + "/" + path) << text;
    }
    uint64_t quota() const
    {
        return asx_cgroup_quota_milli((root + "/sys").c_str(), (root + "/self").c_str());
    }
};

} // namespace

TEST_CASE("topology: core lists parse, print, and refuse what is no list", "[engine]")
{
    asx_core_list list;
    char text[64];
    REQUIRE(asx_core_list_parse("0,2-5,9", &list) == ASX_OK);
    CHECK(list.count == 6);
    CHECK(asx_core_list_has(&list, 4));
    CHECK_FALSE(asx_core_list_has(&list, 1));
    CHECK(std::string(asx_core_list_format(&list, text, sizeof(text))) == "0,2-5,9");
    for (const char *bad :
         { "", ",", "1,", "1-", "-1", "2-1", "1,1", "0-3,2", "1024", "a", "1 " }) {
        CHECK(asx_core_list_parse(bad, &list) == ASX_E(INVALID_ARGUMENT));
    }
    REQUIRE(asx_core_list_parse("1023", &list) == ASX_OK);
    REQUIRE(asx_core_list_parse("1,3,5,7,9,11,13,15,17", &list) == ASX_OK);
    const std::string cut = asx_core_list_format(&list, text, 20);
    CHECK(cut.substr(cut.size() - 3) == "...");
}

TEST_CASE("topology: what this machine allows is at least one core, and ours", "[engine]")
{
    asx_topology topology;
    REQUIRE(asx_topology_read(&topology) == ASX_OK);
    CHECK(topology.allowed.count >= 1);
    CHECK(topology.cores_physical >= 1);
    CHECK(topology.cores_physical <= topology.allowed.count);
    CHECK(asx_topology_shards_default(&topology) >= 1);
    CHECK(asx_topology_shards_default(&topology) <= topology.allowed.count);
}

TEST_CASE("topology: the default shard count is the quota rounded up, at least one", "[engine]")
{
    asx_topology topology{};
    topology.allowed.count = 8;
    const struct {
        uint64_t milli;
        uint32_t shards;
    } rows[] = {
        { 0, 8 }, { 1, 1 }, { 500, 1 }, { 1000, 1 }, { 1001, 2 }, { 2500, 3 }, { 64000, 8 }
    };
    for (const auto &row : rows) {
        topology.quota_milli = row.milli;
        CHECK(asx_topology_shards_default(&topology) == row.shards);
    }
}

TEST_CASE("topology: a v2 quota is the least on the way up", "[engine]")
{
    const tree t;
    t.file("self", "0::/pod/app\n");
    CHECK(t.quota() == 0);
    t.file("sys/pod/app/cpu.max", "max 100000\n");
    CHECK(t.quota() == 0);
    t.file("sys/pod/app/cpu.max", "250000 100000\n");
    CHECK(t.quota() == 2500);
    t.file("sys/pod/cpu.max", "50000 100000\n");
    CHECK(t.quota() == 500);
}

TEST_CASE("topology: a v1 quota is found under its controllers' mount", "[engine]")
{
    const tree t;
    t.file("self", "5:memory:/pod\n4:cpu,cpuacct:/pod\n");
    t.file("sys/cpu,cpuacct/pod/cpu.cfs_quota_us", "-1\n");
    t.file("sys/cpu,cpuacct/pod/cpu.cfs_period_us", "100000\n");
    CHECK(t.quota() == 0);
    t.file("sys/cpu,cpuacct/pod/cpu.cfs_quota_us", "150000\n");
    CHECK(t.quota() == 1500);
}

TEST_CASE("topology: inside a container the group is missing and the mount's own files answer",
          "[engine]")
{
    const tree t;
    t.file("self", "0::/docker/0123\n");
    t.file("sys/cpu.max", "300000 100000\n");
    CHECK(t.quota() == 3000);
    t.file("self", "0::/\n");
    CHECK(t.quota() == 3000);
}
