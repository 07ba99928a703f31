/* Snapshots as bytes, and what their rows must agree in. */
#include <asx/lab/snapshot.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/sha256.h>
#include <asx/shard/inspect.h>

#include "array_internal.h"

#include <errno.h>
#include <string.h>

#define MAGIC "ASLABSNP"
#define LENGTH_AT 12u
#define DIGEST_AT 20u

static const asx_lab_snapshot_node *find(const asx_lab_snapshot *snapshot, uint32_t kind,
                                         uint64_t id)
{
    uint32_t low = 0, high = snapshot->place.node_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const asx_lab_snapshot_node *const node = &snapshot->nodes[middle];
        if (node->kind < kind || (node->kind == kind && node->id < id)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const asx_lab_snapshot_node *const node = &snapshot->nodes[low];
    return low < snapshot->place.node_count && node->kind == kind && node->id == id ? node : NULL;
}

/* Of a row and the one before it. */
static const char *row_wrong(const asx_lab_snapshot *snapshot, uint32_t index)
{
    const asx_lab_snapshot_node *const node = &snapshot->nodes[index];
    if (node->kind > ASX_INSPECT_TASK || node->zero != 0 ||
        node->state[sizeof(node->state) - 1] != '\0' ||
        node->waits_for[sizeof(node->waits_for) - 1] != '\0' ||
        node->severity > ASX_SEVERITY_PANICKED) {
        return "it has a row that cannot be";
    }
    if (index > 0) {
        const asx_lab_snapshot_node *const last = node - 1;
        if (last->kind == node->kind && last->id == node->id) {
            return "it has an identity twice";
        }
        if (last->kind > node->kind || (last->kind == node->kind && last->id > node->id)) {
            return "its rows are not in order";
        }
    }
    return NULL;
}

/* Where the rows are in order, so that they can be found. */
static const char *parent_wrong(const asx_lab_snapshot *snapshot, const asx_lab_snapshot_node *node)
{
    if (node->kind == ASX_INSPECT_REGION && node->parent == 0) {
        return NULL;
    }
    const asx_lab_snapshot_node *const parent = find(snapshot, ASX_INSPECT_REGION, node->parent);
    if (!parent) {
        return node->kind == ASX_INSPECT_TASK ? "it has a task without a region"
                                              : "it has a region whose parent is unknown";
    }
    return strcmp(parent->state, "CLOSED") == 0 ? "it has a closed region that is not empty" : NULL;
}

/* No region is its own ancestor; the rows before it are known to be good. */
static const char *path_wrong(const asx_lab_snapshot *snapshot, const asx_lab_snapshot_node *node)
{
    for (uint32_t depth = 0; node->parent != 0; depth++) {
        if (depth == ASX_LAB_SNAPSHOT_DEPTH_MAX) {
            return "its regions are a circle, or too deep";
        }
        node = find(snapshot, ASX_INSPECT_REGION, node->parent);
    }
    return NULL;
}

/* A region counts at least the live tasks that name it. */
static const char *counts_wrong(const asx_lab_snapshot *snapshot)
{
    const uint32_t count = snapshot->place.node_count;
    uint32_t *const tasks = asxi_lab_alloc(count, sizeof(*tasks));
    const char *wrong = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const asx_lab_snapshot_node *const node = &snapshot->nodes[i];
        if (node->kind == ASX_INSPECT_TASK && strcmp(node->state, "COMPLETED") != 0) {
            tasks[find(snapshot, ASX_INSPECT_REGION, node->parent) - snapshot->nodes]++;
        }
    }
    for (uint32_t i = 0; i < count && !wrong; i++) {
        if (snapshot->nodes[i].kind == ASX_INSPECT_REGION && tasks[i] > snapshot->nodes[i].tasks) {
            wrong = "it has a region with more tasks than it counts";
        }
    }
    asxi_lab_free(tasks);
    return wrong;
}

const char *asx_lab_snapshot_wrong(const asx_lab_snapshot *snapshot)
{
    const asx_lab_snapshot_place *const place = &snapshot->place;
    if (place->node_count > ASX_LAB_SNAPSHOT_NODES_MAX) {
        return "it has more than 1000000 regions and tasks";
    }
    if (place->zero != 0 || place->scenario[sizeof(place->scenario) - 1] != '\0') {
        return "it has a name that cannot be";
    }
    for (uint32_t i = 0; i < place->node_count; i++) {
        const char *const wrong = row_wrong(snapshot, i);
        if (wrong) {
            return wrong;
        }
    }
    for (uint32_t i = 0; i < place->node_count; i++) {
        const char *const wrong = parent_wrong(snapshot, &snapshot->nodes[i]);
        if (wrong) {
            return wrong;
        }
    }
    for (uint32_t i = 0; i < place->node_count && snapshot->nodes[i].kind == ASX_INSPECT_REGION;
         i++) {
        const char *const wrong = path_wrong(snapshot, &snapshot->nodes[i]);
        if (wrong) {
            return wrong;
        }
    }
    return counts_wrong(snapshot);
}

static uint64_t payload_len(const asx_lab_snapshot_place *place)
{
    return sizeof(*place) + (uint64_t)place->node_count * sizeof(asx_lab_snapshot_node) +
           place->choices * sizeof(asx_lab_choice);
}

static void digest_of(const asx_lab_snapshot *snapshot, unsigned char digest[32])
{
    const asx_lab_snapshot_place *const place = &snapshot->place;
    asx_sha256 sha;
    asx_sha256_init(&sha);
    asx_sha256_add(&sha, place, sizeof(*place));
    asx_sha256_add(&sha, snapshot->nodes, place->node_count * sizeof(*snapshot->nodes));
    asx_sha256_add(&sha, snapshot->choices, place->choices * sizeof(*snapshot->choices));
    asx_sha256_take(&sha, digest);
}

asx_err asx_lab_snapshot_write(const asx_lab_snapshot *snapshot, FILE *out)
{
    const asx_lab_snapshot_place *const place = &snapshot->place;
    const uint16_t version = ASX_LAB_SNAPSHOT_VERSION;
    const uint64_t len = payload_len(place);
    unsigned char header[ASX_LAB_SNAPSHOT_HEADER_LEN] = MAGIC;
    if (len > ASX_LAB_SNAPSHOT_BYTES_MAX) {
        return asx_err_errno(EFBIG);
    }
    memcpy(header + sizeof(MAGIC) - 1, &version, sizeof(version));
    memcpy(header + LENGTH_AT, &len, sizeof(len));
    digest_of(snapshot, header + DIGEST_AT);
    errno = 0;
    const bool written =
        fwrite(header, sizeof(header), 1, out) == 1 && fwrite(place, sizeof(*place), 1, out) == 1 &&
        fwrite(snapshot->nodes, sizeof(*snapshot->nodes), place->node_count, out) ==
            place->node_count &&
        fwrite(snapshot->choices, sizeof(*snapshot->choices), place->choices, out) ==
            place->choices &&
        fflush(out) == 0;
    return written ? ASX_OK : asx_err_errno(errno ? errno : EIO);
}

static const char *header_wrong(const unsigned char *header, uint64_t *len)
{
    uint16_t version;
    memcpy(&version, header + sizeof(MAGIC) - 1, sizeof(version));
    memcpy(len, header + LENGTH_AT, sizeof(*len));
    if (memcmp(header, MAGIC, sizeof(MAGIC) - 1) != 0) {
        return "not a snapshot";
    }
    if (version != ASX_LAB_SNAPSHOT_VERSION) {
        return "a snapshot of another version";
    }
    if (header[10] != 0 || header[11] != 0) {
        return "a snapshot of a kind, or with flags, that this program does not know";
    }
    if (*len > ASX_LAB_SNAPSHOT_BYTES_MAX) {
        return "longer than 64 MiB";
    }
    return *len < sizeof(asx_lab_snapshot_place) ? "shorter than a snapshot can be" : NULL;
}

/* Reads what the place says there is; the lengths agree with the file's. */
static const char *rows_read(FILE *in, asx_lab_snapshot *snapshot, uint64_t len)
{
    const asx_lab_snapshot_place *const place = &snapshot->place;
    if (place->node_count > ASX_LAB_SNAPSHOT_NODES_MAX || place->choices > len ||
        payload_len(place) != len) {
        return "damaged: its counts are not those of its length";
    }
    snapshot->nodes = asxi_lab_alloc(place->node_count, sizeof(*snapshot->nodes));
    snapshot->choices = asxi_lab_alloc(place->choices, sizeof(*snapshot->choices));
    const bool whole = fread(snapshot->nodes, sizeof(*snapshot->nodes), place->node_count, in) ==
                           place->node_count &&
                       fread(snapshot->choices, sizeof(*snapshot->choices), place->choices, in) ==
                           place->choices &&
                       fgetc(in) == EOF;
    return whole ? NULL : "cut short, or longer than it says";
}

const char *asx_lab_snapshot_read(FILE *in, asx_lab_snapshot *snapshot)
{
    unsigned char header[ASX_LAB_SNAPSHOT_HEADER_LEN], digest[32];
    uint64_t len;
    *snapshot = (asx_lab_snapshot){ 0 };
    if (fread(header, sizeof(header), 1, in) != 1) {
        return "not a snapshot";
    }
    const char *wrong = header_wrong(header, &len);
    if (wrong) {
        return wrong;
    }
    if (fread(&snapshot->place, sizeof(snapshot->place), 1, in) != 1) {
        return "cut short, or longer than it says";
    }
    wrong = rows_read(in, snapshot, len);
    if (!wrong) {
        digest_of(snapshot, digest);
        wrong = memcmp(digest, header + DIGEST_AT, sizeof(digest)) != 0
                    ? "damaged: its digest is another"
                    : asx_lab_snapshot_wrong(snapshot);
    }
    if (wrong) {
        asx_lab_snapshot_deinit(snapshot);
    }
    return wrong;
}
