#include <asx/shard/base/assert.h>

#include "explore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
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
} worker;

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
                              asx_strategy *strategy, uint64_t index, int fd)
{
    asx_explore_run *const run = asx_explore_run_create(program->processes, &config->limits);
    uint64_t seed;
    bool go_on = true;
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
        work(config, program, strategy, index, ends[1]);
    }
    close(ends[1]);
    w->fd = ends[0];
    if (w->pid < 0) {
        close(ends[0]);
        return false;
    }
    return true;
}

/* Ends the child, and returns how it had ended: a signal number, or 0. */
static int stop(worker *w)
{
    int status = 0;
    close(w->fd);
    kill(w->pid, SIGKILL);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    w->pid = 0;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* How the child ended by itself: it closed its pipe, so it is gone or about to be. */
static int reap(worker *w)
{
    int status = 0;
    close(w->fd);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    w->pid = 0;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void add_crash(asx_explore_report *report, asx_strategy *strategy, uint64_t index,
                      int signal_number)
{
    char text[ASX_EXPLORE_TEXT_MAX];
    asx_explore_row row = { .index = index,
                            .fingerprint = UINT64_C(0xdead000000000000) + (uint64_t)signal_number,
                            .signature = UINT64_C(0xdead000000000000) + (uint64_t)signal_number,
                            .end = ASX_EXPLORE_CRASHED };
    strategy->begin(strategy, index, &row.seed);
    snprintf(text, sizeof(text), "the run killed its process: signal %d", signal_number);
    asxi_explore_add(report, &row, text, NULL, 0);
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
    for (uint64_t at = 0; !report->why; at++) {
        worker *const w = &workers[at % jobs];
        const uint64_t index = config->first + at;
        frame f;
        if (w->pid == 0 && !start(w, config, program, strategy, index)) {
            report->why = "no more processes";
        } else if (!await_frame(report, w->fd)) {
            break;
        } else if (!read_all(w->fd, &f, sizeof(f))) {
            add_crash(report, strategy, index, reap(w));
        } else if (!take_frame(report, w, &f, &choices)) {
            report->why = "nothing left";
        }
    }
    for (uint32_t i = 0; i < jobs; i++) {
        if (workers[i].pid > 0) {
            stop(&workers[i]);
        }
    }
    asxi_array_deinit(&choices);
    asxi_lab_free(workers);
}
