#include <asx/shard/base/assert.h>

#include "explore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child makes every jobs-th run and writes a frame for each; the parent reads them in turn, so
 * that rows come in the order of their index, however fast each child is. A child that writes
 * ahead fills its pipe and waits. */
typedef struct frame {
    asx_explore_row row;
    uint32_t choice_count; /* rows that follow; 0 unless the run failed */
    bool is_last;          /* the strategy has nothing left: no row */
    char text[ASX_EXPLORE_TEXT_MAX];
} frame;

typedef struct worker {
    pid_t pid;
    int fd;
    asxi_explore_mirror *mirror;
} worker;

#define CRASH (UINT64_C(0xdead) << 48)

uint64_t asxi_explore_crash(int status, char *text, size_t cap)
{
    if (WIFSIGNALED(status)) {
        snprintf(text, cap, "the run killed its process: signal %d", WTERMSIG(status));
        return CRASH | (uint64_t)WTERMSIG(status);
    }
    snprintf(text, cap, "the run ended its process: status %d", WEXITSTATUS(status));
    return CRASH | 0x100 | (uint64_t)WEXITSTATUS(status);
}

bool asxi_explore_is_crash(uint64_t signature)
{
    return signature >> 48 == CRASH >> 48;
}

asxi_explore_mirror *asxi_explore_mirror_create(void)
{
    void *const memory = mmap(NULL, sizeof(asxi_explore_mirror), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void asxi_explore_mirror_destroy(asxi_explore_mirror *mirror)
{
    if (mirror) {
        munmap(mirror, sizeof(*mirror));
    }
}

static bool write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        const ssize_t wrote = write(fd, at, len);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return false;
        }
        at += wrote;
        len -= (size_t)wrote;
    }
    return true;
}

static bool read_all(int fd, void *bytes, size_t len)
{
    char *at = bytes;
    while (len > 0) {
        const ssize_t got = read(fd, at, len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        len -= (size_t)got;
    }
    return true;
}

/* Waits for a frame; false: the time for all of them is over. A run that never ends cannot outlast
 * the budget. */
static bool await_frame(asx_explore_report *report, int fd)
{
    struct pollfd waited = { .fd = fd, .events = POLLIN };
    while (!report->why && poll(&waited, 1, 100) == 0) {
        asxi_explore_tell(report);
    }
    return !report->why;
}

static bool send_run(int fd, asx_explore_run *run, uint64_t index, uint64_t seed)
{
    frame f = { .row = asxi_explore_row_of(run, index, seed) };
    const asx_lab_choice *choices = NULL;
    if (f.row.signature != 0) {
        choices = asx_explore_run_choices(run, &f.choice_count);
        snprintf(f.text, sizeof(f.text), "%s", asx_explore_run_verdict(run)->text);
    }
    return write_all(fd, &f, sizeof(f)) &&
           write_all(fd, choices, sizeof(*choices) * f.choice_count);
}

ASX_NORETURN static void work(const asx_explore_config *config, asx_explore_program *program,
                              asx_strategy *strategy, uint64_t index, const worker *w, int fd)
{
    asx_explore_run *const run = asx_explore_run_create(program->processes, &config->limits);
    uint64_t seed;
    bool go_on = true;
    asxi_explore_run_mirror(run, w->mirror);
    for (; go_on && strategy->begin(strategy, index, &seed); index += config->jobs) {
        asx_explore_run_make(run, program, strategy, seed, config->count_races);
        go_on = send_run(fd, run, index, seed);
    }
    if (go_on) {
        const frame last = { .is_last = true };
        go_on = write_all(fd, &last, sizeof(last));
    }
    _exit(go_on ? 0 : 1);
}

/* Starts a child that makes the runs index, index + jobs, ...; false: the system has no more. */
static bool start(worker *w, const asx_explore_config *config, asx_explore_program *program,
                  asx_strategy *strategy, uint64_t index)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    fflush(NULL); /* or the child would print it too */
    w->pid = fork();
    if (w->pid == 0) {
        close(ends[0]);
        signal(SIGPIPE, SIG_IGN);
        work(config, program, strategy, index, w, ends[1]);
    }
    close(ends[1]);
    w->fd = ends[0];
    if (w->pid < 0) {
        close(ends[0]);
        return false;
    }
    return true;
}

/* Waits for the end of the child, whose pipe is closed; returns its status. */
static int reap(worker *w)
{
    int status = 0;
    close(w->fd);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    w->pid = 0;
    return status;
}

static void stop(worker *w)
{
    if (w->pid > 0) {
        kill(w->pid, SIGKILL);
        reap(w);
    }
    asxi_explore_mirror_destroy(w->mirror);
}

static void add_crash(asx_explore_report *report, asx_strategy *strategy, uint64_t index, worker *w)
{
    char text[ASX_EXPLORE_TEXT_MAX];
    const uint64_t signature = asxi_explore_crash(reap(w), text, sizeof(text));
    const asxi_explore_mirror *const mirror = w->mirror;
    asx_explore_row row = { .index = index,
                            .fingerprint = signature,
                            .signature = signature,
                            .choices = mirror ? mirror->count : 0,
                            .end = ASX_EXPLORE_CRASHED };
    strategy->begin(strategy, index, &row.seed);
    asxi_explore_add(report, &row, text, mirror ? mirror->rows : NULL, row.choices);
}

/* Adds what the worker says of run `index`; false: there is no such run. */
static bool take_frame(asx_explore_report *report, worker *w, frame *f, asxi_array *choices)
{
    if (f->is_last) {
        return false;
    }
    asxi_array_cut(choices, 0);
    for (uint32_t i = 0; i < f->choice_count; i++) {
        asxi_array_push(choices);
    }
    asx_lab_choice *const rows = asxi_array_items(choices);
    if (!read_all(w->fd, rows, sizeof(*rows) * f->choice_count)) {
        return false;
    }
    asxi_explore_add(report, &f->row, f->text, f->choice_count ? rows : NULL, f->choice_count);
    return true;
}

void asxi_explore_fork(asx_explore_report *report, asx_explore_program *program,
                       asx_strategy *strategy)
{
    const asx_explore_config *const config = &report->config;
    const uint32_t jobs = config->jobs;
    worker *const workers = asxi_lab_alloc(jobs, sizeof(*workers));
    asxi_array choices;
    asxi_array_init(&choices, sizeof(asx_lab_choice));
    for (uint32_t i = 0; i < jobs; i++) {
        workers[i].mirror = asxi_explore_mirror_create();
    }
    for (uint64_t at = 0; !report->why; at++) {
        worker *const w = &workers[at % jobs];
        const uint64_t index = config->first + at;
        frame f;
        if (w->pid == 0 && !start(w, config, program, strategy, index)) {
            report->why = "no more processes";
        } else if (!await_frame(report, w->fd)) {
            break;
        } else if (!read_all(w->fd, &f, sizeof(f))) {
            add_crash(report, strategy, index, w);
        } else if (!take_frame(report, w, &f, &choices)) {
            report->why = "nothing left";
        }
    }
    for (uint32_t i = 0; i < jobs; i++) {
        stop(&workers[i]);
    }
    asxi_array_deinit(&choices);
    asxi_lab_free(workers);
}
