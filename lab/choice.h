/* Choices: every nondeterministic decision of a run passes here, and is written down.
 *
 * Model.   A source answers "one of n"; 0 is always what production would do, so a run without
 *          choices is production's, and shrinking goes towards it. A decision between one is none:
 *          it is answered 0 and not recorded, which keeps lists short.
 * Owner.   The run, whose one thread asks.
 * Memory.  16 bytes a choice, up to `rows_max` of them. */
#ifndef ASX_LAB_CHOICE_H
#define ASX_LAB_CHOICE_H

#include <asx/lab/rand.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/driver.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

enum {
    ASX_LAB_CHOICE_CLAMPED = 1u << 0, /* a forced choice was out of range and became 0 */
};

/* A row of the list, and of the file. */
typedef struct asx_lab_choice {
    uint16_t site; /* asx_choice_site */
    uint16_t n;
    uint16_t chosen;
    uint16_t flags; /* ASX_LAB_CHOICE_* */
    uint64_t object;
} asx_lab_choice;

/* What a plug-in source is told beside the question. */
typedef struct asx_lab_pick_info {
    uint64_t step;          /* of the run loop */
    uint64_t index;         /* of the row that this choice becomes */
    const uint32_t *shards; /* ASX_CHOICE_SHARD: the n runnable shards, by alternative; else NULL */
    uint32_t given;         /* 1 + what DEFAULT and RANDOM answer; 0: what they do by themselves */
} asx_lab_pick_info;

/* Returns 0..n-1, n >= 2. */
typedef uint32_t asx_lab_pick_fn(void *self, uint32_t site, uint32_t n, uint64_t object,
                                 const asx_lab_pick_info *info);

typedef enum asx_lab_source {
    ASX_LAB_SOURCE_DEFAULT = 0, /* always 0 */
    ASX_LAB_SOURCE_RANDOM,      /* uniform, from the stream SCHED */
    ASX_LAB_SOURCE_FORCED,      /* a recorded list; the first question that differs ends the run */
    ASX_LAB_SOURCE_LENIENT,     /* a list; what does not fit is 0, and so is what lies beyond it */
    ASX_LAB_SOURCE_BYTES,       /* a fuzzer's input, then 0 */
    ASX_LAB_SOURCE_PLUGIN,      /* pick() */
} asx_lab_source;

/* Gives a forced list row by row, for lists that are not to be held. */
typedef struct asx_lab_feed asx_lab_feed;
struct asx_lab_feed {
    /* The row that the next question is to meet. False: there is none. */
    bool (*next)(asx_lab_feed *self, asx_lab_choice *row);
};

/* What happens when the list is full. */
typedef enum asx_lab_full {
    ASX_LAB_FULL_STOP = 0,   /* the run ends */
    ASX_LAB_FULL_DROP,       /* the oldest half is forgotten; the run can no longer be replayed */
    ASX_LAB_FULL_UNRECORDED, /* it goes on without being recorded */
} asx_lab_full;

typedef struct asx_lab_choices_config { /* zero-filled fields are the defaults */
    asx_lab_source source;
    const asx_lab_choice *list; /* FORCED, LENIENT; lent for the run */
    size_t list_len;
    asx_lab_feed *feed;   /* FORCED, instead of a list; lent for the run */
    const uint8_t *bytes; /* BYTES; lent for the run */
    size_t bytes_len;
    asx_lab_pick_fn *pick; /* PLUGIN */
    void *pick_self;
    uint32_t rows_max; /* 0: 100 MiB of them */
    asx_lab_full full;
    bool unrecorded; /* keep no list; the count is kept */
} asx_lab_choices_config;

#define ASX_LAB_CHOICE_ROWS_MAX ((100u << 20) / 16u)

/* Why a forced list could not be followed. */
typedef enum asx_lab_misfit {
    ASX_LAB_FITS = 0,
    ASX_LAB_MISFIT_SITE,      /* another question than the recorded one */
    ASX_LAB_MISFIT_N,         /* the same, with another number of alternatives */
    ASX_LAB_MISFIT_OBJECT,    /* the same, about another object */
    ASX_LAB_MISFIT_EXHAUSTED, /* a question beyond the end of the list */
} asx_lab_misfit;

typedef struct asx_lab_choices asx_lab_choices;

/* owns  the caller, until destroy; `rand` is lent for as long */
asx_lab_choices *asx_lab_choices_create(const asx_lab_choices_config *config, asx_lab_rand *rand);

/* n >= 1. `info` may be NULL. */
uint32_t asx_lab_choose(asx_lab_choices *choices, uint32_t site, uint32_t n, uint64_t object,
                        const asx_lab_pick_info *info);

/* The list so far; lent until the next choice. */
const asx_lab_choice *asx_lab_choices_rows(const asx_lab_choices *choices, uint32_t *count);
/* Choices made, recorded or not. */
uint64_t asx_lab_choices_count(const asx_lab_choices *choices);
/* True when the run must end: a forced list did not fit, or the list is full. */
bool asx_lab_choices_stopped(const asx_lab_choices *choices);
/* What did not fit first, with the index of the row; `expected` is zero when the list was
 * exhausted. */
asx_lab_misfit asx_lab_choices_misfit(const asx_lab_choices *choices, uint64_t *index,
                                      asx_lab_choice *expected, asx_lab_choice *actual);
/* How far into its list or bytes the source is. */
uint64_t asx_lab_choices_cursor(const asx_lab_choices *choices);
/* From the next question on, another source answers, its list or bytes consumed up to `cursor`;
 * what was recorded stays. */
void asx_lab_choices_resume(asx_lab_choices *choices, const asx_lab_choices_config *config,
                            uint64_t cursor);
/* Rows of a forced list that no question asked for. */
size_t asx_lab_choices_left(const asx_lab_choices *choices);

void asx_lab_choices_destroy(asx_lab_choices *choices);

const char *asx_choice_site_name(uint32_t site);
const char *asx_lab_source_name(asx_lab_source source);
const char *asx_lab_misfit_name(asx_lab_misfit misfit);

ASX_END_DECLS

#endif
