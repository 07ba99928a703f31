/* Reads messages from standard input and says in text what the parser makes of each: the half of
 * llhttp_diff.js that is ours.
 *
 * in   per message: one byte 'q' (request) or 's' (response to GET), four bytes of length, low
 *      first, then the message
 * out  per message one line:
 *      accept HEX(method) HEX(target) HEX(body) HEX(name)=HEX(value),...
 *      accept STATUS x HEX(body) HEX(name)=HEX(value),...
 *      more head, more body, or reject CODE */
#include "http1_corpus.h"

#include <cstdio>

using namespace http1_corpus;

static std::string hex(const std::string &bytes)
{
    static const char digits[] = "0123456789abcdef";
    std::string out = "x";
    for (const char c : bytes) {
        out += digits[static_cast<unsigned char>(c) >> 4];
        out += digits[static_cast<unsigned char>(c) & 15];
    }
    return out;
}

static std::string fields_text(const asx_http1_head &head)
{
    std::string out;
    for (uint32_t i = 0; i < head.field_count; i++) {
        out += (i ? "," : "") + hex(text_of(head.fields[i].name)) + "=" +
               hex(text_of(head.fields[i].value));
    }
    return out.empty() ? "-" : out;
}

static std::string reject(const asx_http1_error &error)
{
    return std::string("reject ") + asx_http1_code_name(static_cast<asx_http1_code>(error.code));
}

static std::string answer(bool response, const std::string &bytes)
{
    subject s(response ? "res" : "req");
    const asx_http1_verdict verdict = asx_http1_parse(&s.parser, bytes.data(), bytes.size());
    if (verdict == ASX_HTTP1_ERROR) {
        return reject(s.parser.error);
    }
    if (verdict != ASX_HTTP1_DONE) {
        return "more head";
    }
    const asx_http1_head &head = s.parser.head;
    asx_http1_body body;
    std::string data;
    asx_http1_body_init(&body, &head, &s.limits);
    for (size_t at = head.head_len;;) {
        size_t used;
        const asx_http1_event event =
            asx_http1_body_next(&body, bytes.data() + at, bytes.size() - at, &used);
        at += used;
        if (event == ASX_HTTP1_BODY_DATA) {
            data += text_of(body.data);
        } else if (event == ASX_HTTP1_BODY_ERROR) {
            return reject(body.error);
        } else if (event == ASX_HTTP1_BODY_END) {
            break;
        } else if (event == ASX_HTTP1_BODY_NEED_MORE) {
            return "more body";
        }
    }
    return "accept " +
           (response ? std::to_string(head.status) + " x"
                     : hex(text_of(head.method_name)) + " " + hex(text_of(head.target))) +
           " " + hex(data) + " " + fields_text(head);
}

int main()
{
    unsigned char prefix[5];
    while (fread(prefix, 1, sizeof(prefix), stdin) == sizeof(prefix)) {
        const size_t len = prefix[1] | prefix[2] << 8 | prefix[3] << 16;
        std::string bytes(len, '\0');
        if (len > 0 && fread(&bytes[0], 1, len, stdin) != len) {
            return 1;
        }
        puts(answer(prefix[0] == 's', bytes).c_str());
    }
    return 0;
}
