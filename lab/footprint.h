/* Footprints: which resources an event reads and writes.
 *
 * Model.   Two events conflict when they share a resource that either of them writes; what does not
 *          conflict may be reordered without anyone seeing it.
 * Rule.    An event whose kind or payload is not known writes the one resource that is shared with
 *          everything: unknown is dependent, so a gap costs search, never soundness.
 * Source.  Mazurkiewicz, 1987. */
#ifndef ASX_LAB_FOOTPRINT_H
#define ASX_LAB_FOOTPRINT_H

#include <asx/lab/event.h>

ASX_BEGIN_DECLS

/* What an event may touch. Numbers are part of no file. */
typedef enum asx_lab_resource {
    ASX_LAB_RES_TASK = 1,
    ASX_LAB_RES_REGION,
    ASX_LAB_RES_OBL,
    ASX_LAB_RES_TIMER,
    ASX_LAB_RES_IO,
    ASX_LAB_RES_RING_HEAD, /* the consumer's end */
    ASX_LAB_RES_RING_TAIL, /* the producer's end */
    ASX_LAB_RES_RING_EDGE, /* whether it is empty or full, for those who saw that it was */
    ASX_LAB_RES_RING_SLOT, /* one message: object mixes ring and sequence */
    ASX_LAB_RES_SHARD,
    ASX_LAB_RES_NAME,
    ASX_LAB_RES_CLOCK,
    ASX_LAB_RES_RNG,
    ASX_LAB_RES_LOCK,
    ASX_LAB_RES_GLOBAL, /* shared with every access there is */
} asx_lab_resource;

typedef struct asx_lab_access {
    uint64_t object;
    uint8_t resource; /* asx_lab_resource */
    bool write;
} asx_lab_access;

#define ASX_LAB_FOOTPRINT_MAX 9u

typedef struct asx_lab_footprint {
    uint32_t count;
    asx_lab_access at[ASX_LAB_FOOTPRINT_MAX];
} asx_lab_footprint;

void asx_lab_event_footprint(const asx_lab_event *event, asx_lab_footprint *footprint);

bool asx_lab_footprint_conflict(const asx_lab_footprint *a, const asx_lab_footprint *b);
/* Symmetric; an event and itself are not asked about. */
bool asx_lab_event_conflict(const asx_lab_event *a, const asx_lab_event *b);

const char *asx_lab_resource_name(asx_lab_resource resource);

ASX_END_DECLS

#endif
