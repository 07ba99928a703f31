#include <asx/lab/choice.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(asx_lab_choice) == 16, "a row of a file");

struct asx_lab_choices {
    asx_lab_choices_config config;
    asx_lab_rand *rand;
    asxi_array rows;
    uint64_t count;
    size_t at; /* the next row of the list, or byte */
    bool stopped, recording;
    asx_lab_misfit misfit;
    uint64_t misfit_index;
    asx_lab_choice expected, actual;
};

asx_lab_choices *asx_lab_choices_create(const asx_lab_choices_config *config, asx_lab_rand *rand)
{
    asx_lab_choices *const self = asxi_lab_alloc(1, sizeof(*self));
    self->config = *config;
    self->rand = rand;
    self->recording = !config->unrecorded;
    if (self->config.rows_max == 0) {
        self->config.rows_max = ASX_LAB_CHOICE_ROWS_MAX;
    }
    if (config->source == ASX_LAB_SOURCE_PLUGIN) {
        asx_assert(config->pick != NULL);
    }
    asxi_array_init(&self->rows, sizeof(asx_lab_choice));
    return self;
}

static void misfit(asx_lab_choices *self, asx_lab_misfit why, const asx_lab_choice *expected,
                   const asx_lab_choice *actual)
{
    if (self->misfit == ASX_LAB_FITS) {
        self->misfit = why;
        self->misfit_index = self->count;
        self->actual = *actual;
        if (expected) {
            self->expected = *expected;
        }
    }
}

static asx_lab_misfit fit(const asx_lab_choice *expected, const asx_lab_choice *actual)
{
    if (expected->site != actual->site) {
        return ASX_LAB_MISFIT_SITE;
    }
    if (expected->n != actual->n || expected->chosen >= actual->n) {
        return ASX_LAB_MISFIT_N;
    }
    return expected->object == actual->object ? ASX_LAB_FITS : ASX_LAB_MISFIT_OBJECT;
}

static bool forced_next(asx_lab_choices *self, asx_lab_choice *row)
{
    if (self->config.feed) {
        return self->config.feed->next(self->config.feed, row);
    }
    if (self->at == self->config.list_len) {
        return false;
    }
    *row = self->config.list[self->at++];
    return true;
}

static uint32_t forced(asx_lab_choices *self, const asx_lab_choice *row)
{
    asx_lab_choice expected;
    if (!forced_next(self, &expected)) {
        misfit(self, ASX_LAB_MISFIT_EXHAUSTED, NULL, row);
        self->stopped = true;
        return 0;
    }
    const asx_lab_misfit why = fit(&expected, row);
    if (why != ASX_LAB_FITS) {
        misfit(self, why, &expected, row);
        self->stopped = true;
        return 0;
    }
    return expected.chosen;
}

static uint32_t lenient(asx_lab_choices *self, asx_lab_choice *row)
{
    if (self->at == self->config.list_len) {
        return 0;
    }
    const asx_lab_choice *const expected = &self->config.list[self->at++];
    const asx_lab_misfit why = fit(expected, row);
    if (why != ASX_LAB_FITS) {
        misfit(self, why, expected, row);
    }
    if (expected->chosen >= row->n) {
        row->flags |= ASX_LAB_CHOICE_CLAMPED;
        return 0;
    }
    return expected->chosen;
}

/* One byte where it suffices, so that a fuzzer's flip of one byte changes one choice. */
static uint32_t from_bytes(asx_lab_choices *self, uint32_t n)
{
    const size_t width = n <= 256 ? 1 : 2;
    if (self->config.bytes_len - self->at < width) {
        self->at = self->config.bytes_len;
        return 0;
    }
    uint32_t value = self->config.bytes[self->at++];
    if (width == 2) {
        value = value << 8 | self->config.bytes[self->at++];
    }
    return value * n >> 8 * width;
}

static uint32_t answer(asx_lab_choices *self, asx_lab_choice *row, const asx_lab_pick_info *info)
{
    asx_lab_pick_info told = info ? *info : (asx_lab_pick_info){ 0 };
    switch (self->config.source) {
    case ASX_LAB_SOURCE_DEFAULT:
        return told.given > 0 ? told.given - 1 : 0;
    case ASX_LAB_SOURCE_RANDOM:
        return told.given > 0 ? told.given - 1
                              : (uint32_t)asx_prng_below(&self->rand->prng[ASX_LAB_SCHED], row->n);
    case ASX_LAB_SOURCE_FORCED:
        return forced(self, row);
    case ASX_LAB_SOURCE_LENIENT:
        return lenient(self, row);
    case ASX_LAB_SOURCE_BYTES:
        return from_bytes(self, row->n);
    case ASX_LAB_SOURCE_PLUGIN:
        told.index = self->count;
        return self->config.pick(self->config.pick_self, row->site, row->n, row->object, &told);
    }
    asx_unreachable();
}

static void record(asx_lab_choices *self, const asx_lab_choice *row)
{
    if (self->rows.count == self->config.rows_max) {
        switch (self->config.full) {
        case ASX_LAB_FULL_STOP:
            self->stopped = true;
            return;
        case ASX_LAB_FULL_DROP: {
            asx_lab_choice *const rows = asxi_array_items(&self->rows);
            const uint32_t half = self->rows.count / 2;
            memmove(rows, rows + (self->rows.count - half), half * sizeof(*rows));
            asxi_array_cut(&self->rows, half);
            break;
        }
        case ASX_LAB_FULL_UNRECORDED:
            self->recording = false;
            return;
        }
    }
    asxi_array_append(&self->rows, row, 1);
}

uint32_t asx_lab_choose(asx_lab_choices *self, uint32_t site, uint32_t n, uint64_t object,
                        const asx_lab_pick_info *info)
{
    asx_assert(n >= 1 && n <= UINT16_MAX);
    if (n == 1 || self->stopped) {
        return 0;
    }
    asx_lab_choice row = { .site = (uint16_t)site, .n = (uint16_t)n, .object = object };
    row.chosen = (uint16_t)answer(self, &row, info);
    asx_assert_lt(row.chosen, n);
    if (self->stopped) {
        return 0;
    }
    if (self->recording) {
        record(self, &row);
    }
    self->count++;
    return row.chosen;
}

const asx_lab_choice *asx_lab_choices_rows(const asx_lab_choices *self, uint32_t *count)
{
    *count = self->rows.count;
    return asxi_array_items(&self->rows);
}

uint64_t asx_lab_choices_count(const asx_lab_choices *self)
{
    return self->count;
}

bool asx_lab_choices_stopped(const asx_lab_choices *self)
{
    return self->stopped;
}

asx_lab_misfit asx_lab_choices_misfit(const asx_lab_choices *self, uint64_t *index,
                                      asx_lab_choice *expected, asx_lab_choice *actual)
{
    *index = self->misfit_index;
    *expected = self->expected;
    *actual = self->actual;
    return self->misfit;
}

uint64_t asx_lab_choices_cursor(const asx_lab_choices *self)
{
    return self->at;
}

void asx_lab_choices_resume(asx_lab_choices *self, const asx_lab_choices_config *config,
                            uint64_t cursor)
{
    const uint32_t rows_max = self->config.rows_max;
    asx_assert(!self->stopped && self->recording == !config->unrecorded);
    self->config = *config;
    self->config.rows_max = rows_max;
    self->at = cursor;
}

size_t asx_lab_choices_left(const asx_lab_choices *self)
{
    const bool listed = self->config.source == ASX_LAB_SOURCE_FORCED ||
                        self->config.source == ASX_LAB_SOURCE_LENIENT;
    return listed ? self->config.list_len - self->at : 0;
}

void asx_lab_choices_destroy(asx_lab_choices *self)
{
    asxi_array_deinit(&self->rows);
    asxi_lab_free(self);
}

const char *asx_choice_site_name(uint32_t site)
{
    static const char *const names[] = {
        [ASX_CHOICE_READY] = "READY",         [ASX_CHOICE_RACE] = "RACE",
        [ASX_CHOICE_SHARD] = "SHARD",         [ASX_CHOICE_RINGVIS] = "RINGVIS",
        [ASX_CHOICE_RINGSPACE] = "RINGSPACE", [ASX_CHOICE_RINGORD] = "RINGORD",
        [ASX_CHOICE_CQBATCH] = "CQBATCH",     [ASX_CHOICE_CQORD] = "CQORD",
        [ASX_CHOICE_TIMEIO] = "TIMEIO",       [ASX_CHOICE_WAKEPICK] = "WAKEPICK",
        [ASX_CHOICE_IORES] = "IORES",         [ASX_CHOICE_LATENCY] = "LATENCY",
        [ASX_CHOICE_DOORBELL] = "DOORBELL",   [ASX_CHOICE_SPURIOUS] = "SPURIOUS",
        [ASX_CHOICE_FAULT] = "FAULT",         [ASX_CHOICE_CANCELPT] = "CANCELPT",
        [ASX_CHOICE_ALLOC] = "ALLOC",         [ASX_CHOICE_ACCEPT] = "ACCEPT",
        [ASX_CHOICE_POOL] = "POOL",           [ASX_CHOICE_SKEW] = "SKEW",
        [ASX_CHOICE_MIGRATE] = "MIGRATE",
    };
    return site < asx_array_count(names) && names[site] ? names[site] : "?";
}

const char *asx_lab_source_name(asx_lab_source source)
{
    static const char *const names[] = {
        "default", "random", "forced", "lenient", "bytes", "plugin"
    };
    return (unsigned)source < asx_array_count(names) ? names[source] : "?";
}

const char *asx_lab_misfit_name(asx_lab_misfit misfit)
{
    static const char *const names[] = { "fits", "another question", "another number of choices",
                                         "another object", "list exhausted" };
    return (unsigned)misfit < asx_array_count(names) ? names[misfit] : "?";
}
