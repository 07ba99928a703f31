/* Crashpacks: one failed run, in a file that repeats it.
 *
 * Model.   Lines of text, so that a person can read what a program checks: who ran and under which
 *          configuration, how it failed, its choices, the same shrunk, its tasks and its last
 *          events; a SHA-256 of all before it stands at the end. Nothing in it depends on when it
 *          was made: two packs of one failure are the same bytes.
 * Rule.    A pack is written beside its name, synced and renamed: what bears the name is whole. It
 *          says whether its own choices failed in the same way once more before it was written. */
#ifndef ASX_LAB_CRASHPACK_H
#define ASX_LAB_CRASHPACK_H

#include <asx/lab/lab.h>

#include <stdio.h>

ASX_BEGIN_DECLS

#define ASX_CRASHPACK_VERSION 1u
#define ASX_CRASHPACK_NAME_MAX 64u
#define ASX_CRASHPACK_EVENTS_MAX 4096u

/* What was run. */
typedef struct asx_crashpack_subject {
    const char *name;             /* of the scenario or test */
    const asx_lab_config *config; /* its mode, choices and steering are the pack's */
    asx_task_fn *app;
    void *arg;
    void (*reset)(void *arg);                         /* before each run; may be NULL */
    void (*judge)(void *arg, asx_lab_report *report); /* after it; may be NULL */
} asx_crashpack_subject;

typedef struct asx_crashpack {
    char name[ASX_CRASHPACK_NAME_MAX];
    asx_lab_config config; /* its numbers; no pointer */
    uint64_t config_hash, build_id, signature;
    uint64_t trace_hash, schedule_hash, fingerprint;
    asx_lab_choice *choices, *shrunk;
    uint32_t choice_count, shrunk_count;
    bool verified;
} asx_crashpack;

/* Writes what a failed run left, its choices shrunk in up to `replays_max` more (0: not shrunk),
 * and says where.
 *
 * report   of a run of the subject that recorded its choices
 * command  what repeats it from the pack, up to its path: "asx lab replay "
 * path     filled: "DIR/crashpack-SEED-CONFIG-FINGERPRINT-v1"
 * errors   the errno */
ASX_NODISCARD asx_err asx_crashpack_write(const asx_crashpack_subject *subject,
                                          const asx_lab_report *report, const char *dir,
                                          const char *command, uint32_t replays_max, char *path,
                                          size_t path_cap);

/* Why a file is no crashpack, or NULL; `pack` is to be given to deinit only when it is one. */
const char *asx_crashpack_read(FILE *in, asx_crashpack *pack);

/* Whether these bytes begin as a crashpack does. */
bool asx_crashpack_is(const char *bytes, size_t len);

/* The configuration of the pack: its numbers over what `base` alone knows, the devices and what is
 * kept. */
asx_lab_config asx_crashpack_config(const asx_crashpack *pack, const asx_lab_config *base);

/* Runs the pack's choices, or its shrunk ones. True when the run failed as the pack says; under all
 * choices, it is the same to the last hash.
 *
 * report  filled, except when the configuration is another: then zeroed */
bool asx_crashpack_replay(const asx_crashpack *pack, const asx_crashpack_subject *subject,
                          bool shrunk, asx_lab_report *report);

void asx_crashpack_deinit(asx_crashpack *pack);

ASX_END_DECLS

#endif
