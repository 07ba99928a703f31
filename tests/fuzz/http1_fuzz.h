/* What holds of every head: any cut and any scanner gives what plain C makes of the whole, and what
 * it gives points into the bytes it was given. */
#ifndef ASX_TESTS_FUZZ_HTTP1_FUZZ_H
#define ASX_TESTS_FUZZ_HTTP1_FUZZ_H

#include <asx/proto/http1_parse.h>

#include <stdlib.h>

#define FUZZ_FIELDS 100

typedef struct fuzz_head {
    asx_http1_parser parser;
    asx_header_field fields[FUZZ_FIELDS];
    asx_http1_verdict verdict;
    char *bytes; /* exactly as long as what was offered */
} fuzz_head;

static void fuzz_check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static char *fuzz_copy(const uint8_t *data, size_t len)
{
    char *const bytes = malloc(len ? len : 1);
    fuzz_check(bytes != NULL);
    memcpy(bytes, data, len);
    return bytes;
}

/* Offers `cut` bytes, then all, each in a place of its own. */
static void fuzz_parse(fuzz_head *head, asx_http_method request_method, const uint8_t *data,
                       size_t len, size_t cut, asx_http1_variant variant)
{
    if (request_method == ASX_HTTP_OTHER) {
        asx_http1_parser_init_request(&head->parser, &asx_http1_limits_default, head->fields,
                                      FUZZ_FIELDS);
    } else {
        asx_http1_parser_init_response(&head->parser, &asx_http1_limits_default, head->fields,
                                       FUZZ_FIELDS, request_method);
    }
    char *const part = fuzz_copy(data, cut);
    head->bytes = fuzz_copy(data, len);
    head->verdict = asx_http1_parse_variant(&head->parser, part, cut, variant);
    if (head->verdict == ASX_HTTP1_NEED_MORE || head->verdict == ASX_HTTP1_DONE) {
        head->verdict = asx_http1_parse_variant(&head->parser, head->bytes, len, variant);
    }
    free(part);
}

/* Same place in the respective buffer, or the same constant. */
static void fuzz_same_view(const fuzz_head *a, asx_view x, const fuzz_head *b, asx_view y)
{
    fuzz_check(asx_view_eq(x, y));
    const bool inside = x.ptr >= a->bytes && x.ptr + x.len <= a->bytes + a->parser.head.head_len;
    if (inside && x.len > 0) {
        fuzz_check(y.ptr - b->bytes == x.ptr - a->bytes);
    }
}

static void fuzz_same(const fuzz_head *a, const fuzz_head *b)
{
    const asx_http1_head *const x = &a->parser.head, *const y = &b->parser.head;
    fuzz_check(a->verdict == b->verdict);
    if (a->verdict == ASX_HTTP1_ERROR) {
        fuzz_check(a->parser.error.code == b->parser.error.code);
        fuzz_check(a->parser.error.offset == b->parser.error.offset);
        fuzz_check(a->parser.error.code != ASX_HTTP1_CODE_NONE);
    }
    if (a->verdict != ASX_HTTP1_DONE) {
        return;
    }
    fuzz_check(x->head_len == y->head_len && x->field_count == y->field_count);
    fuzz_check(x->method == y->method && x->form == y->form && x->framing == y->framing);
    fuzz_check(x->version_minor == y->version_minor && x->status == y->status);
    fuzz_check(x->keep_alive == y->keep_alive && x->expect_continue == y->expect_continue);
    fuzz_check(x->has_length == y->has_length && x->content_length == y->content_length);
    fuzz_same_view(a, x->method_name, b, y->method_name);
    fuzz_same_view(a, x->target, b, y->target);
    fuzz_same_view(a, x->path, b, y->path);
    fuzz_same_view(a, x->host, b, y->host);
    fuzz_same_view(a, x->upgrade, b, y->upgrade);
    fuzz_same_view(a, x->reason, b, y->reason);
    for (uint32_t i = 0; i < x->field_count; i++) {
        fuzz_same_view(a, x->fields[i].name, b, y->fields[i].name);
        fuzz_same_view(a, x->fields[i].value, b, y->fields[i].value);
        fuzz_check(x->fields[i].id == y->fields[i].id);
        fuzz_check(asx_header_name_check(x->fields[i].name));
        fuzz_check(asx_header_value_check(x->fields[i].value));
    }
}

static void fuzz_heads(const uint8_t *data, size_t len, asx_http_method request_method)
{
    static fuzz_head want, got;
    const size_t cut = len ? (data[len / 2] * len) / 256 : 0;

    fuzz_parse(&want, request_method, data, len, len, ASX_HTTP1_PLAIN);
    for (int variant = 0; variant < ASX_HTTP1_VARIANT_COUNT; variant++) {
        if (asx_http1_variant_has((asx_http1_variant)variant)) {
            fuzz_parse(&got, request_method, data, len, cut, (asx_http1_variant)variant);
            fuzz_same(&want, &got);
            free(got.bytes);
        }
    }
    free(want.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif
