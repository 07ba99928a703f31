#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "crashpack_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (256u << 20)
#define MAGIC "asx-crashpack "

bool asx_crashpack_is(const char *bytes, size_t len)
{
    return len >= strlen(MAGIC) && memcmp(bytes, MAGIC, strlen(MAGIC)) == 0;
}

/* All of a file, with an end; NULL: too long, or unreadable. */
static char *slurp(FILE *in, size_t *len)
{
    asxi_array bytes;
    char part[4096];
    size_t got;
    asxi_array_init(&bytes, 1);
    while ((got = fread(part, 1, sizeof(part), in)) > 0 && bytes.count < BYTES_MAX) {
        asxi_array_append(&bytes, part, (uint32_t)got);
    }
    *len = bytes.count;
    if (ferror(in) || bytes.count >= BYTES_MAX) {
        asxi_array_deinit(&bytes);
        return NULL;
    }
    (void)asxi_array_push(&bytes);
    return asxi_array_items(&bytes);
}

/* The digest is the last line, of all before it. */
static bool digest_fits(const char *bytes, size_t len)
{
    static const size_t line_len = 7 + 64 + 1;
    char digest[65];
    if (len < line_len || memcmp(bytes + len - line_len, "sha256 ", 7) != 0 ||
        bytes[len - 1] != '\n') {
        return false;
    }
    asxi_crashpack_digest(bytes, len - line_len, digest);
    return memcmp(bytes + len - 65, digest, 64) == 0;
}

/* The rows after a line that says how many; NULL: they are not what it says. */
static const char *rows_read(const char *at, uint32_t count, asx_lab_choice **rows)
{
    *rows = asxi_lab_alloc(count > 0 ? count : 1, sizeof(**rows));
    for (uint32_t i = 0; i < count; i++) {
        asx_lab_choice *const row = &(*rows)[i];
        int used = 0;
        if (sscanf(at, " %" SCNu16 " %" SCNu16 " %" SCNu16 " %" SCNu64 "%n", &row->site, &row->n,
                   &row->chosen, &row->object, &used) != 4 ||
            row->chosen >= row->n) {
            return NULL;
        }
        at += used;
    }
    return *at == '\n' ? at + 1 : count == 0 ? at : NULL;
}

static const char *lists_read(const char *bytes, size_t len, asx_crashpack *pack)
{
    const char *at = NULL; /* the last one: what stands before may quote the program */
    for (const char *each = bytes; (each = strstr(each, "\nchoices ")) != NULL; each++) {
        at = each;
    }
    if (!at || sscanf(at, "\nchoices %" SCNu32, &pack->choice_count) != 1 ||
        pack->choice_count > len) {
        return "its choices are missing";
    }
    at = strchr(at + 1, '\n') + 1;
    at = rows_read(at, pack->choice_count, &pack->choices);
    if (!at || sscanf(at, "shrunk %" SCNu32, &pack->shrunk_count) != 1 ||
        pack->shrunk_count > len) {
        return "its choices are not as many as it says";
    }
    at = strchr(at, '\n') + 1;
    return rows_read(at, pack->shrunk_count, &pack->shrunk) ? NULL
                                                            : "its shrunk choices are too few";
}

static const char *manifest_read(const char *bytes, asx_crashpack *pack)
{
    unsigned version = 0, verified = 0;
    if (sscanf(bytes, MAGIC "%u", &version) != 1 || version != ASX_CRASHPACK_VERSION) {
        return "a crashpack of another version";
    }
    const char *at = strchr(bytes, '\n') + 1;
    if (sscanf(at,
               "name %63[^\n] config %" SCNx64 " build %" SCNx64 " signature %" SCNx64
               " trace %" SCNx64 " schedule %" SCNx64 " fingerprint %" SCNx64 " verified %u",
               pack->name, &pack->config_hash, &pack->build_id, &pack->signature, &pack->trace_hash,
               &pack->schedule_hash, &pack->fingerprint, &verified) != 8) {
        return "its head is not what it should be";
    }
    pack->verified = verified != 0;
    while ((at = strstr(at, "\nknob ")) != NULL) {
        char name[64];
        uint64_t value;
        if (sscanf(at, "\nknob %63s %" SCNu64, name, &value) != 2 ||
            !asxi_knob_set(&pack->config, name, value)) {
            return "it turns a knob that this program does not have";
        }
        at++;
    }
    return NULL;
}

const char *asx_crashpack_read(FILE *in, asx_crashpack *pack)
{
    size_t len;
    *pack = (asx_crashpack){ 0 };
    char *const bytes = slurp(in, &len);
    if (!bytes || !asx_crashpack_is(bytes, len)) {
        asxi_lab_free(bytes);
        return "no crashpack";
    }
    const char *wrong = digest_fits(bytes, len) ? manifest_read(bytes, pack)
                                                : "its bytes are not those that were written";
    if (!wrong) {
        wrong = lists_read(bytes, len, pack);
    }
    asxi_lab_free(bytes);
    if (wrong) {
        asx_crashpack_deinit(pack);
    }
    return wrong;
}

asx_lab_config asx_crashpack_config(const asx_crashpack *pack, const asx_lab_config *base)
{
    asx_lab_config config = *base;
    asxi_knobs_copy(&config, &pack->config);
    return config;
}

bool asx_crashpack_replay(const asx_crashpack *pack, const asx_crashpack_subject *subject,
                          bool shrunk, asx_lab_report *report)
{
    asx_lab_config config = asx_crashpack_config(pack, subject->config);
    *report = (asx_lab_report){ 0 };
    if (asx_lab_config_hash(&config) != pack->config_hash) {
        return false;
    }
    config.mode = shrunk ? ASX_LAB_LENIENT : ASX_LAB_FORCED;
    config.choices = shrunk ? pack->shrunk : pack->choices;
    config.choice_count = shrunk ? pack->shrunk_count : pack->choice_count;
    config.steer = NULL;
    config.bytes = NULL;
    config.bytes_len = 0;
    if (subject->reset) {
        subject->reset(subject->arg);
    }
    (void)asx_lab_run(&config, subject->app, subject->arg, report);
    if (subject->judge) {
        subject->judge(subject->arg, report);
    }
    return asx_lab_report_signature(report) == pack->signature &&
           (shrunk || (report->trace_hash == pack->trace_hash &&
                       report->schedule_hash == pack->schedule_hash));
}

void asx_crashpack_deinit(asx_crashpack *pack)
{
    asxi_lab_free(pack->choices);
    asxi_lab_free(pack->shrunk);
    *pack = (asx_crashpack){ 0 };
}
