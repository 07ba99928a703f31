#include "probe.h"

#include "epoll.h"
#include "uring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_PARKS 8

const char *asx_driver_choice_name(asx_driver_choice choice)
{
    switch (choice) {
    case ASX_DRIVER_CHOICE_AUTO:
        return "auto";
    case ASX_DRIVER_CHOICE_URING:
        return "uring";
    case ASX_DRIVER_CHOICE_EPOLL:
        return "epoll";
    }
    return "?";
}

asx_err asx_driver_choice_parse(const char *text, asx_driver_choice *choice)
{
    for (int i = ASX_DRIVER_CHOICE_AUTO; i <= ASX_DRIVER_CHOICE_EPOLL; i++) {
        if (strcmp(text, asx_driver_choice_name((asx_driver_choice)i)) == 0) {
            *choice = (asx_driver_choice)i;
            return ASX_OK;
        }
    }
    return ASX_E(INVALID_ARGUMENT);
}

#ifndef ASX_HAVE_URING
asx_err asx_uring_create(const asx_driver_config *config, asx_driver **driver)
{
    (void)config;
    (void)driver;
    return ASX_E(UNSUPPORTED);
}
#endif

/* What the trial's receive has seen: one datum, then the end of it after the cancellation. */
typedef struct trial {
    asx_op op;
    asx_driver *driver;
    bool got;
    asx_err err;
} trial;

static void trial_done(asx_op *op)
{
    trial *const t = asx_container_of(op, trial, op);
    if (op->more) {
        t->got = op->result == 1;
        t->driver->ops->buf_return(t->driver, op->rbuf);
    } else {
        t->err = op->err;
    }
}

static void trial_turn(asx_driver *driver)
{
    const asx_instant until = asx_time_add(driver->ops->now(driver), asx_ms(100));
    driver->ops->park(driver, until);
    driver->ops->reap(driver, 16);
}

/* A multishot receive of one byte, and its cancellation. */
static asx_err trial_receive(asx_driver *driver)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return asx_err_errno(errno);
    }
    trial t = {
        .op = { .code = ASX_OP_RECV, .flags = ASX_OP_MULTI, .fd = pair[0], .done = trial_done },
        .driver = driver,
    };
    driver->ops->submit(driver, &t.op);
    const ssize_t sent = write(pair[1], "x", 1);
    for (int i = 0; i < TRIAL_PARKS && sent == 1 && !t.got && !t.err; i++) {
        trial_turn(driver);
    }
    driver->ops->cancel(driver, &t.op);
    shutdown(pair[0], SHUT_RDWR);
    while (t.op.flags & ASX_OP_SUBMITTED) {
        trial_turn(driver);
    }
    close(pair[0]);
    close(pair[1]);
    if (t.got) {
        return ASX_OK;
    }
    return t.err && t.err != asx_err_errno(ECANCELED) ? t.err : asx_err_errno(EINVAL);
}

static asx_err trial_run(void)
{
    const asx_driver_config config = { .sq_entries = 8, .buf_count = 8 };
    asx_driver *driver;
    asx_err err = asx_uring_create(&config, &driver);
    if (!err) {
        err = trial_receive(driver);
        driver->ops->destroy(driver);
    }
    return err;
}

/* A filter answers, or kills: /proc tells whether there is one ("Seccomp: 2"). */
static bool filter_in_force(void)
{
    FILE *const file = fopen("/proc/self/status", "re");
    if (!file) {
        return true;
    }
    char line[128];
    int mode = 0;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "Seccomp: %d", &mode) == 1) {
            break;
        }
    }
    fclose(file);
    return mode != 0;
}

/* The child's verdict is its exit status: an errno, which fits; a killed child is EPERM. */
static asx_err trial_in_child(void)
{
    const pid_t child = fork();
    if (child < 0) {
        return asx_err_errno(errno);
    }
    if (child == 0) {
        const asx_err err = trial_run();
        _exit(err == ASX_OK                                    ? 0
              : asx_err_domain_of(err) == ASX_ERR_DOMAIN_ERRNO ? (int)asx_err_code(err)
                                                               : ENOSYS);
    }
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return asx_err_errno(errno);
        }
    }
    if (!WIFEXITED(status)) {
        return asx_err_errno(EPERM);
    }
    return WEXITSTATUS(status) ? asx_err_errno(WEXITSTATUS(status)) : ASX_OK;
}

static int sysctl_disabled(void)
{
    FILE *const file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    int value = 0;
    if (file) {
        if (fscanf(file, "%d", &value) != 1) {
            value = 0;
        }
        fclose(file);
    }
    return value;
}

static void why_refused(asx_err err, char *why, size_t cap)
{
    struct rlimit limit = { 0 };
    char name[64];
    switch (asx_err_domain_of(err) == ASX_ERR_DOMAIN_ERRNO ? (int)asx_err_code(err) : 0) {
    case EPERM:
    case EACCES:
        if (sysctl_disabled() != 0) {
            snprintf(why, cap, "io_uring refused (EPERM): set kernel.io_uring_disabled=0 (is %d)",
                     sysctl_disabled());
        } else {
            snprintf(why, cap,
                     "io_uring refused (EPERM): allow io_uring_setup, _enter and "
                     "_register in the container's seccomp profile");
        }
        break;
    case ENOSYS:
        snprintf(why, cap, "io_uring absent (ENOSYS): needs a Linux kernel built with it, 6.1+");
        break;
    case ENOMEM:
        getrlimit(RLIMIT_MEMLOCK, &limit);
        snprintf(why, cap, "io_uring refused (ENOMEM): raise RLIMIT_MEMLOCK (is %llu KiB)",
                 (unsigned long long)limit.rlim_cur / 1024);
        break;
    case EINVAL:
        snprintf(why, cap, "io_uring too old (EINVAL): multishot receive needs Linux 6.0+");
        break;
    case 0:
        snprintf(why, cap, "io_uring not built in: install liburing-dev 2.3+ and rebuild");
        break;
    default:
        snprintf(why, cap, "io_uring refused: %s", asx_err_name(err, name, sizeof(name)));
    }
}

/* An unreadable value of the variable is as good as none. */
static asx_driver_choice choice_of_environment(asx_driver_choice choice)
{
    const char *const text = getenv("ASX_DRIVER");
    asx_driver_choice forced;
    if (choice == ASX_DRIVER_CHOICE_AUTO && text && asx_driver_choice_parse(text, &forced) == 0) {
        return forced;
    }
    return choice;
}

asx_err asx_driver_probe(asx_driver_choice choice, asx_driver_kind *kind, char *why, size_t why_cap)
{
    const asx_driver_choice wanted = choice_of_environment(choice);
    *kind = ASX_DRIVER_EPOLL;
    if (wanted == ASX_DRIVER_CHOICE_EPOLL) {
        snprintf(why, why_cap, "epoll, as asked");
        return ASX_OK;
    }
    const asx_err err = filter_in_force() ? trial_in_child() : trial_run();
    if (!err) {
        *kind = ASX_DRIVER_URING;
        snprintf(why, why_cap, "io_uring");
        return ASX_OK;
    }
    if (wanted == ASX_DRIVER_CHOICE_URING) {
        why_refused(err, why, why_cap);
        return err;
    }
    char refusal[ASX_DRIVER_WHY_MAX];
    why_refused(err, refusal, sizeof(refusal));
    snprintf(why, why_cap, "epoll: %s", refusal);
    return ASX_OK;
}

asx_err asx_driver_create(asx_driver_choice choice, const asx_driver_config *config,
                          asx_driver **driver, char *why, size_t why_cap)
{
    char line[ASX_DRIVER_WHY_MAX];
    asx_driver_kind kind = ASX_DRIVER_URING;
    asx_err err = ASX_OK;
    line[0] = '\0';
    if (choice == ASX_DRIVER_CHOICE_AUTO) {
        err = asx_driver_probe(choice, &kind, line, sizeof(line));
    } else if (choice == ASX_DRIVER_CHOICE_EPOLL) {
        kind = ASX_DRIVER_EPOLL;
    }
    if (!err) {
        err = kind == ASX_DRIVER_URING ? asx_uring_create(config, driver)
                                       : asx_epoll_create(config, driver);
        if (err && kind == ASX_DRIVER_URING) {
            why_refused(err, line, sizeof(line));
        }
    }
    if (why && why_cap > 0) {
        snprintf(why, why_cap, "%s", line);
    }
    return err;
}
