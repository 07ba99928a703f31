/* Ambient time and entropy: what a program in the lab must not ask for behind the run's back.
 *
 * Model.  While a shard takes its turn, a guard (ambient_guard.c, linked into the lab's command and
 *         into whoever wants it) hears every call of the C library's clocks, sleeps and generators
 *         that comes from the program itself; each is a violation of the run, and is answered. */
#ifndef ASX_LAB_AMBIENT_H
#define ASX_LAB_AMBIENT_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_LAB_AMBIENT_MAX 16u

typedef struct asx_lab_ambient {
    bool inside; /* a turn is being taken */
    uint32_t count;
    const char *names[ASX_LAB_AMBIENT_MAX]; /* of functions, in the order of their first call */
    uint64_t calls[ASX_LAB_AMBIENT_MAX];
} asx_lab_ambient;

/* Of this thread. */
asx_lab_ambient *asx_lab_ambient_state(void);

/* For the guard. name: outlives the run */
void asx_lab_ambient_called(const char *name);

ASX_END_DECLS

#endif
