/* Which driver this process can have, found out by doing, and said in one line.
 *
 * Model.  AUTO is io_uring where a ring, a buffer ring and a multishot receive really work, and
 *         epoll elsewhere. Where a seccomp filter is in force the trial runs in a forked child,
 *         since some filters kill instead of refusing: probe once, before threads start, and
 *         create every shard's driver with the answer. */
#ifndef ASX_REACTOR_PROBE_H
#define ASX_REACTOR_PROBE_H

#include <asx/reactor/driver_config.h>
#include <asx/shard/driver.h>

#include <stddef.h>

ASX_BEGIN_DECLS

typedef enum asx_driver_choice {
    ASX_DRIVER_CHOICE_AUTO = 0,
    ASX_DRIVER_CHOICE_URING,
    ASX_DRIVER_CHOICE_EPOLL,
} asx_driver_choice;

#define ASX_DRIVER_WHY_MAX 200

const char *asx_driver_choice_name(asx_driver_choice choice);

/* "auto", "uring", "epoll". errors  INVALID_ARGUMENT */
ASX_NODISCARD asx_err asx_driver_choice_parse(const char *text, asx_driver_choice *choice);

/* Decides for the process. AUTO is overruled by the environment variable ASX_DRIVER.
 *
 * kind    the driver to create
 * why     one line: what was chosen and, for a fallback, what would change it
 * errors  only when io_uring was forced and is not to be had: the errno of its refusal */
ASX_NODISCARD asx_err asx_driver_probe(asx_driver_choice choice, asx_driver_kind *kind, char *why,
                                       size_t why_cap);

/* On the thread that will run the shard. AUTO probes first.
 *
 * why     may be NULL */
ASX_NODISCARD asx_err asx_driver_create(asx_driver_choice choice, const asx_driver_config *config,
                                        asx_driver **driver, char *why, size_t why_cap);

ASX_END_DECLS

#endif
