#include <asx/lab/schedule.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/sha256.h>

#include "array_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert(sizeof(asx_lab_row) == 40, "a row of a file");

#define MAGIC "ASLABSCH"
#define VERSION 1u
#define ROWS_MAX 10000000u /* more than a list of choices may hold: refused before allocating */
static const char domain[] = "asupersync lab schedule 1";

typedef struct file_header {
    char magic[8];
    uint32_t version, row_count;
    uint64_t seed, config_hash, build_id;
    char scenario[ASX_LAB_SCENARIO_NAME_MAX];
    uint32_t shards, zero;
} file_header;

typedef struct file_receipt {
    uint64_t steps, now_ns, schedule_hash, trace_hash;
    uint32_t termination, truncated;
} file_receipt;

static_assert(sizeof(file_header) == 80 && sizeof(file_receipt) == 40, "no padding in files");

void asx_lab_schedule_of(const asx_lab_report *report, asx_lab_schedule *schedule)
{
    *schedule = (asx_lab_schedule){
        .seed = report->seed,
        .config_hash = report->config_hash,
        .build_id = report->build_id,
        .row_count = report->row_count,
        .steps = report->steps,
        .now_ns = report->now_ns,
        .schedule_hash = report->schedule_hash,
        .trace_hash = report->trace_hash,
        .termination = report->termination,
        .truncated = report->rows_truncated,
    };
    schedule->rows = asxi_lab_alloc(report->row_count, sizeof(asx_lab_row));
    if (report->row_count > 0) {
        memcpy(schedule->rows, report->rows, report->row_count * sizeof(asx_lab_row));
    }
}

static void header_of(const asx_lab_schedule *schedule, file_header *header, file_receipt *receipt)
{
    *header = (file_header){ .version = VERSION,
                             .row_count = schedule->row_count,
                             .seed = schedule->seed,
                             .config_hash = schedule->config_hash,
                             .build_id = schedule->build_id };
    memcpy(header->magic, MAGIC, sizeof(header->magic));
    memcpy(header->scenario, schedule->scenario, sizeof(header->scenario));
    header->shards = schedule->shards;
    *receipt = (file_receipt){ .steps = schedule->steps,
                               .now_ns = schedule->now_ns,
                               .schedule_hash = schedule->schedule_hash,
                               .trace_hash = schedule->trace_hash,
                               .termination = schedule->termination,
                               .truncated = schedule->truncated };
}

static void digest_of(const asx_lab_schedule *schedule, unsigned char digest[32])
{
    asx_sha256 sha;
    file_header header;
    file_receipt receipt;
    header_of(schedule, &header, &receipt);
    asx_sha256_init(&sha);
    asx_sha256_add(&sha, domain, sizeof(domain));
    asx_sha256_add(&sha, &header, sizeof(header));
    asx_sha256_add(&sha, schedule->rows, schedule->row_count * sizeof(asx_lab_row));
    asx_sha256_add(&sha, &receipt, sizeof(receipt));
    asx_sha256_take(&sha, digest);
}

asx_err asx_lab_schedule_write(const asx_lab_schedule *schedule, FILE *out)
{
    file_header header;
    file_receipt receipt;
    unsigned char digest[32];
    header_of(schedule, &header, &receipt);
    digest_of(schedule, digest);
    const bool written = fwrite(&header, sizeof(header), 1, out) == 1 &&
                         fwrite(schedule->rows, sizeof(asx_lab_row), schedule->row_count, out) ==
                             schedule->row_count &&
                         fwrite(&receipt, sizeof(receipt), 1, out) == 1 &&
                         fwrite(digest, sizeof(digest), 1, out) == 1 && fflush(out) == 0;
    return written ? ASX_OK : asx_err_errno(errno ? errno : EIO);
}

static const char *header_wrong(const file_header *header)
{
    if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0) {
        return "not a schedule";
    }
    if (header->version != VERSION) {
        return "a schedule of another version";
    }
    if (header->scenario[ASX_LAB_SCENARIO_NAME_MAX - 1] != 0 || header->zero != 0) {
        return "damaged: its header cannot be";
    }
    return header->row_count > ROWS_MAX ? "more rows than a run can have" : NULL;
}

const char *asx_lab_schedule_read(FILE *in, asx_lab_schedule *schedule)
{
    file_header header;
    file_receipt receipt;
    unsigned char digest[32], expected[32];
    if (fread(&header, sizeof(header), 1, in) != 1) {
        return "not a schedule";
    }
    const char *wrong = header_wrong(&header);
    if (wrong) {
        return wrong;
    }
    asx_lab_row *const rows = asxi_lab_alloc(header.row_count, sizeof(asx_lab_row));
    if (fread(rows, sizeof(asx_lab_row), header.row_count, in) != header.row_count ||
        fread(&receipt, sizeof(receipt), 1, in) != 1 || fread(digest, sizeof(digest), 1, in) != 1 ||
        fgetc(in) != EOF) {
        asxi_lab_free(rows);
        return "cut short, or longer than it says";
    }
    *schedule = (asx_lab_schedule){ .seed = header.seed,
                                    .config_hash = header.config_hash,
                                    .build_id = header.build_id,
                                    .rows = rows,
                                    .row_count = header.row_count,
                                    .steps = receipt.steps,
                                    .now_ns = receipt.now_ns,
                                    .schedule_hash = receipt.schedule_hash,
                                    .trace_hash = receipt.trace_hash,
                                    .termination = (asx_lab_termination)receipt.termination,
                                    .truncated = receipt.truncated != 0 };
    memcpy(schedule->scenario, header.scenario, sizeof(header.scenario));
    schedule->shards = header.shards;
    digest_of(schedule, expected);
    if (memcmp(digest, expected, sizeof(digest)) != 0) {
        asx_lab_schedule_deinit(schedule);
        return "damaged: its digest is another";
    }
    return NULL;
}

void asx_lab_schedule_deinit(asx_lab_schedule *schedule)
{
    asxi_lab_free(schedule->rows);
    memset(schedule, 0, sizeof(*schedule));
}

uint32_t asx_lab_schedule_choices(const asx_lab_schedule *schedule, asx_lab_choice *choices)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < schedule->row_count; i++) {
        const asx_lab_row *const row = &schedule->rows[i];
        if (row->kind == ASX_LAB_ROW_CHOICE) {
            choices[count++] = (asx_lab_choice){
                .site = row->lane, .n = row->n, .chosen = row->chosen, .object = row->object
            };
        }
    }
    return count;
}
