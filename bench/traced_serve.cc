/* `traced_serve [SETTING VALUE]...` is `asx serve` over the kernel with its trace points; as
 * `traced_serve heard ...` it has a listener at every shard, which counts. For bench/instructions:
 * what a trace point costs that nobody listens to, and what one costs that is heard. */
#include <asx/engine/main.h>
#include <asx/engine/program_routes.h>
#include <asx/shard/shard.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace
{

bool is_heard = false;

/* One a shard, on a cache line of its own: shards do not share what they count. */
struct alignas(64) counter {
    asx_trace_sink sink;
    uint64_t events, words;
};
counter counters[256];

void count(asx_trace_sink *sink, uint32_t shard, asx_trace_kind, const uint64_t *, uint32_t words)
{
    (void)sink;
    counters[shard].events++;
    counters[shard].words += words;
}

} // namespace

/* The linker puts these two in the place of asx_shard_create and calls the first for it. */
extern "C" {
asx_err __real_asx_shard_create(const asx_shard_config *config, asx_shard **shard);
asx_err __wrap_asx_shard_create(const asx_shard_config *config, asx_shard **shard);

asx_err __wrap_asx_shard_create(const asx_shard_config *config, asx_shard **shard)
{
    asx_shard_config heard = *config;
    if (is_heard) {
        counters[config->index].sink.emit = count;
        heard.trace = &counters[config->index].sink;
    }
    return __real_asx_shard_create(&heard, shard);
}
}

int main(int argc, char **argv)
{
    is_heard = argc > 1 && std::strcmp(argv[1], "heard") == 0;
    const int skipped = is_heard ? 1 : 0;
    argv[skipped] = argv[0];
    const int status = asx_main(argc - skipped, argv + skipped, asxi_program_app);
    counter all{};
    for (const counter &each : counters) {
        all.events += each.events;
        all.words += each.words;
    }
    std::printf("%" PRIu64 " events of %" PRIu64 " words were heard\n", all.events, all.words);
    return status;
}
