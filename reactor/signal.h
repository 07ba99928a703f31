/* Signals as completions: a descriptor that a READ or POLL operation waits on.
 *
 * Model.  The signals are blocked for the thread that opens it and for every thread it starts
 *         afterwards, so open before there are others; from then on they only arrive here. */
#ifndef ASX_REACTOR_SIGNAL_H
#define ASX_REACTOR_SIGNAL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_SIGNAL_RECORD_SIZE 128u /* bytes of one signal in what READ gives */

typedef struct asx_signal {
    int32_t number;
    int32_t code; /* SI_USER and so on */
    uint32_t pid; /* of the sender */
    uint32_t uid;
    int32_t status; /* SIGCHLD: exit status or signal */
} asx_signal;

/* errors  EINVAL for a number that is no signal, EMFILE */
ASX_NODISCARD asx_err asx_signal_open(const int *signals, size_t count, int32_t *fd);

/* Takes one record off the front of what READ gave; false when less than one is left. */
bool asx_signal_decode(const void *bytes, size_t len, asx_signal *signal);

ASX_END_DECLS

#endif
