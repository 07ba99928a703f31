/* Snapshots: a place in a lab run, and the way back to it.
 *
 * Model.   A fiber's stack holds return addresses and pointers into itself, into its heap and into
 *          whatever its program keeps, none of which C can find or move: copied bytes would be a
 *          world that only looks alive. So a snapshot holds no memory. It holds the choices that
 *          led to the place, and what must be found there: hashes of all that happened, the state
 *          of every generator, and a row for each region and task. Restoring repeats the run up to
 *          the place, compares all of it, and goes on only when nothing differs.
 * File.    Magic, version, kind, flags, length, SHA-256 of the payload, payload. A changed byte is
 *          refused, and so are rows that no kernel can have left.
 * Cost.    Restoring takes as long as the run took to get there.
 * Owner.   The caller, until deinit. */
#ifndef ASX_LAB_SNAPSHOT_H
#define ASX_LAB_SNAPSHOT_H

#include <asx/lab/schedule.h>
#include <asx/lab/world.h>

#include <stdio.h>

ASX_BEGIN_DECLS

#define ASX_LAB_SNAPSHOT_VERSION 1u
#define ASX_LAB_SNAPSHOT_HEADER_LEN 52u
#define ASX_LAB_SNAPSHOT_BYTES_MAX (64u << 20) /* of the payload */
#define ASX_LAB_SNAPSHOT_NODES_MAX 1000000u
#define ASX_LAB_SNAPSHOT_DEPTH_MAX 4096u

/* A region or a task, as the kernel's own record has it; in the order of identities. */
typedef struct asx_lab_snapshot_node {
    uint64_t id, parent;       /* trace identities; parent 0: the root of a shard */
    uint32_t kind;             /* asx_inspect_kind */
    uint32_t severity, reason; /* reason: 0 or the kind of its cancellation, plus 1 */
    uint32_t obligations, ops;
    uint32_t tasks, children, zero;
    char state[16], waits_for[16]; /* zero-filled; their first 15 letters */
} asx_lab_snapshot_node;

/* Where in the run it is; compared as a whole. */
typedef struct asx_lab_snapshot_place {
    char scenario[ASX_LAB_SCENARIO_NAME_MAX];
    uint64_t seed, config_hash, build_id;
    uint64_t steps, now_ns, records, trace_hash, schedule_hash, state_hash;
    uint64_t choices, cursor; /* made so far; of a given list or bytes, consumed */
    uint64_t generators[ASX_LAB_STREAM_COUNT][4];
    uint32_t node_count, zero;
} asx_lab_snapshot_place;

typedef struct asx_lab_snapshot {
    asx_lab_snapshot_place place;
    asx_lab_snapshot_node *nodes;
    asx_lab_choice *choices; /* place.choices of them */
} asx_lab_snapshot;

/* Takes the snapshot of a started world between two of its steps, which changes nothing in it.
 * Returns why it cannot be taken, or NULL.
 *
 * scenario  may be NULL */
const char *asx_lab_snapshot_take(asx_lab_world *world, const char *scenario,
                                  asx_lab_snapshot *snapshot);

/* Why its rows cannot be those of any world, or NULL. */
const char *asx_lab_snapshot_wrong(const asx_lab_snapshot *snapshot);

/* Repeats the run of `app` up to the snapshot's place, in a fresh world. Returns why that is
 * refused or did not lead there, or NULL: then *world goes on as `config` says, under the same
 * choices if its mode is that of the first run.
 *
 * scenario  must be the snapshot's; may be NULL where that is empty
 * config    of the first run; its hash must be the snapshot's. Its listeners hear the way, too
 * owns      the caller, with asx_lab_world_finish and asx_lab_world_destroy */
const char *asx_lab_snapshot_restore(const asx_lab_snapshot *snapshot, const char *scenario,
                                     const asx_lab_config *config, asx_task_fn *app, void *arg,
                                     asx_lab_world **world);

/* errors  the errno */
ASX_NODISCARD asx_err asx_lab_snapshot_write(const asx_lab_snapshot *snapshot, FILE *out);
/* Why a file is no snapshot, or NULL; `snapshot` is to be given to deinit only when it is one. */
const char *asx_lab_snapshot_read(FILE *in, asx_lab_snapshot *snapshot);

void asx_lab_snapshot_deinit(asx_lab_snapshot *snapshot);

ASX_END_DECLS

#endif
