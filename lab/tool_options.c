#include <asx/shard/base/assert.h>

#include "tool_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void asxi_lab_tool_usage(FILE *out)
{
    fputs(
        "usage: asx lab list                        the scenarios\n"
        "       asx lab run NAME [OPTION]...        one seed, or many\n"
        "       asx lab replay FILE                 follow a saved run to the last event\n"
        "       asx lab recover FILE NEW            a new file of a damaged trace's good part\n"
        "       asx lab diff A B                    two traces: equivalent, or where they part\n"
        "       asx lab show NAME|FILE [OPTION]...  the tasks of a run, or the story of one\n"
        "       asx lab explore NAME [OPTION]...    search for a schedule that fails\n"
        "       asx lab shrink NAME [OPTION]...     the smallest schedule that still fails\n"
        "\n"
        "  --seed N      of the (first) run; default 42\n"
        "  --seeds N     run: N seeds in a row, and two lines about all of them\n"
        "  --replays N   run: so many of the seeds are recorded, and followed to the last event\n"
        "  --jobs N      run: processes that share the seeds; default: one a core\n"
        "  --shards N    instead of the scenario's\n"
        "  --mode M      random (default), or default: what production would do\n"
        "  --steps N     limit of a run; default 100000\n"
        "  --chaos C     light or heavy: faults from the seed, as many as the scenario withstands\n"
        "  --pack DIR    run: a failure goes there as a crashpack, which replay takes too\n"
        "  --wide        which of the equals of a lane runs is a choice too\n"
        "  --twice       run: each run again, which must be the same\n"
        "  --rows        run: a line for each seed: hashes and counts\n"
        "  --quiet       run: no progress line\n"
        "  --save FILE   run: the schedule, for replay and show\n"
        "  --trace FILE  run: every event, streamed; for replay, show, diff and recover\n"
        "  --level L     of a trace: lossless (default), structural, skeleton\n"
        "  --by-seed     replay: the seed chooses again, so that an edited choice shows\n"
        "  --json FILE   run, or show of a trace: a trace for ui.perfetto.dev\n"
        "  --task T      show: the story of one task, as 0.3.1\n"
        "  --tell        show: the whole run, shard by shard, in words\n"
        "\n"
        "A run is its seed: the same command prints the same bytes, on every machine.\n"
        "\n"
        "Try it:\n"
        "  asx lab run limb-cancel --seeds 1000 --replays 100\n"
        "  asx lab run limb-cancel --seed 7 --save /tmp/run.lab\n"
        "  asx lab replay /tmp/run.lab\n"
        "  asx lab show /tmp/run.lab\n"
        "  asx lab show /tmp/run.lab --task 0.1.1\n"
        "  asx lab run limb-cancel --seed 7 --trace /tmp/a.trace\n"
        "  asx lab run limb-cancel --seed 8 --trace /tmp/b.trace\n"
        "  asx lab replay /tmp/a.trace\n"
        "  asx lab show /tmp/a.trace --json /tmp/a.json\n"
        "  asx lab diff /tmp/a.trace /tmp/b.trace\n"
        "  head -c 9000 /tmp/a.trace >/tmp/cut; asx lab recover /tmp/cut /tmp/good.trace\n"
        "\n"
        "Exit status: 0 passed, 1 violation, 2 usage, 3 not the same run, 4 a limit was reached,\n"
        "5 a file was not what it should be.\n",
        out);
}

static bool number(const char *text, uint64_t max, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *value <= max;
}

/* True when `name` takes a value, which then is taken. */
static bool option_value(asxi_lab_tool_options *o, const char *name, const char *value, bool *fits)
{
    const struct {
        const char *name;
        uint64_t *value;
        uint64_t max;
    } numbers[] = { { "--seed", &o->seed, UINT64_MAX },
                    { "--seeds", &o->seeds, UINT32_MAX },
                    { "--shards", &o->shards, ASX_LAB_SHARDS_MAX },
                    { "--replays", &o->replays, UINT32_MAX },
                    { "--jobs", &o->jobs, 256 },
                    { "--steps", &o->steps_max, UINT64_MAX } };
    const struct {
        const char *name, **value;
    } texts[] = { { "--mode", &o->mode },   { "--save", &o->save },  { "--json", &o->json },
                  { "--chaos", &o->chaos }, { "--pack", &o->pack },  { "--task", &o->task },
                  { "--trace", &o->trace }, { "--level", &o->level } };
    for (size_t i = 0; i < asx_array_count(numbers); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *fits = value && number(value, numbers[i].max, numbers[i].value);
            return true;
        }
    }
    for (size_t i = 0; i < asx_array_count(texts); i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].value = value;
            *fits = value != NULL;
            return true;
        }
    }
    return false;
}

static bool option_flag(asxi_lab_tool_options *o, const char *name)
{
    const struct {
        const char *name;
        bool *value;
    } flags[] = { { "--twice", &o->twice },     { "--rows", &o->rows },   { "--tell", &o->tell },
                  { "--by-seed", &o->by_seed }, { "--quiet", &o->quiet }, { "--wide", &o->wide } };
    for (size_t i = 0; i < asx_array_count(flags); i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].value = true;
            return true;
        }
    }
    return false;
}

bool asxi_lab_tool_options_parse(asxi_lab_tool_options *o, const asx_lab_scenario *more, int argc,
                                 char **args)
{
    *o = (asxi_lab_tool_options){ .more = more, .seed = 42, .seeds = 1, .mode = "random" };
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    o->jobs = cores > 1 ? (uint64_t)cores : 1;
    o->quiet = !isatty(STDERR_FILENO);
    for (int i = 0; i < argc; i++) {
        bool fits = true;
        const char *const value = i + 1 < argc ? args[i + 1] : NULL;
        if (option_value(o, args[i], value, &fits)) {
            i++;
        } else {
            fits = option_flag(o, args[i]);
        }
        if (!fits) {
            fprintf(stderr, "asx lab: %s%s%s is not understood; asx lab --help\n",
                    args[i > 0 ? i - !!value : 0], value ? " " : "", value ? value : "");
            return false;
        }
    }
    if (strcmp(o->mode, "random") != 0 && strcmp(o->mode, "default") != 0) {
        fprintf(stderr, "asx lab: there is no mode %s: random, default\n", o->mode);
        return false;
    }
    if (o->seeds == 0 || o->jobs == 0) {
        fprintf(stderr, "asx lab: %s 0 would do nothing\n", o->seeds == 0 ? "--seeds" : "--jobs");
        return false;
    }
    asx_chaos_config chaos;
    if (o->chaos && !asx_chaos_preset(&chaos, o->chaos)) {
        fprintf(stderr, "asx lab: there is no chaos %s: off, light, heavy\n", o->chaos);
        return false;
    }
    return true;
}
