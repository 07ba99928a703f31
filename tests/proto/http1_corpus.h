/* The table of messages and verdicts, and one way to say in text what the parser made of bytes:
 * shared by the tests and by the program that the differential drives. */
#ifndef ASX_TESTS_PROTO_HTTP1_CORPUS_H
#define ASX_TESTS_PROTO_HTTP1_CORPUS_H

#include <asx/proto/http1_parse.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace http1_corpus
{

struct row {
    int line;
    std::string kind, verdict, bytes;
};

inline std::string unescape(const std::string &text)
{
    std::string out;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == '{' && i + 2 < text.size() && text[i + 2] == '*') {
            const size_t close = text.find('}', i);
            out.append(std::stoul(text.substr(i + 3, close - i - 3)), text[i + 1]);
            i = close;
        } else if (text[i] == '\\' && i + 1 < text.size()) {
            const char c = text[++i];
            if (c == 'x') {
                out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
                i += 2;
            } else {
                out += c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c == '0' ? '\0' : c;
            }
        } else {
            out += text[i];
        }
    }
    return out;
}

inline std::vector<row> load()
{
    const char *const root = getenv("ASX_SOURCE_ROOT");
    std::ifstream file(std::string(root ? root : ".") + "/tests/proto/http1_corpus.txt");
    std::vector<row> rows;
    std::string line;
    for (int number = 1; std::getline(file, line); number++) {
        if (line.empty() || line[0] == '#') {
            continue;
        }
        const size_t a = line.find('\t'), b = line.find('\t', a + 1);
        rows.push_back({ number, line.substr(0, a), unescape(line.substr(a + 1, b - a - 1)),
                         unescape(line.substr(b + 1)) });
    }
    return rows;
}

inline std::string text_of(asx_view view)
{
    return std::string(view.ptr ? view.ptr : "", view.len);
}

inline std::string error_text(const asx_http1_error &error)
{
    return std::string(asx_http1_code_name(static_cast<asx_http1_code>(error.code))) + "@" +
           std::to_string(error.offset);
}

/* A parser with its storage, ready for one head of the kind. */
struct subject {
    asx_http1_limits limits;
    std::vector<asx_header_field> fields;
    asx_http1_parser parser;

    explicit subject(const std::string &kind, asx_http1_limits l = asx_http1_limits_default,
                     uint32_t field_cap = 100)
        : limits(l), fields(field_cap)
    {
        if (kind == "req") {
            asx_http1_parser_init_request(&parser, &limits, fields.data(), field_cap);
        } else {
            const asx_http_method method = kind == "reshead"      ? ASX_HTTP_HEAD
                                           : kind == "resconnect" ? ASX_HTTP_CONNECT
                                                                  : ASX_HTTP_GET;
            asx_http1_parser_init_response(&parser, &limits, fields.data(), field_cap, method);
        }
    }
    subject(const subject &) = delete;
    subject &operator=(const subject &) = delete;
};

inline std::string framing_text(const asx_http1_head &head)
{
    std::string text = asx_http1_framing_name(static_cast<asx_http1_framing>(head.framing));
    return head.framing == ASX_HTTP1_FRAMING_LENGTH
               ? text + ":" + std::to_string(head.content_length)
               : text;
}

/* The short form: what the table's verdict column holds. */
inline std::string brief(const asx_http1_parser &parser, asx_http1_verdict verdict, bool response)
{
    const asx_http1_head &head = parser.head;
    if (verdict == ASX_HTTP1_NEED_MORE) {
        return "more";
    }
    if (verdict == ASX_HTTP1_PREFACE) {
        return "preface";
    }
    if (verdict == ASX_HTTP1_ERROR) {
        return error_text(parser.error);
    }
    const std::string tail = framing_text(head) + (head.keep_alive ? " ka" : " close");
    if (response) {
        return "ok " + std::to_string(head.status) + " " + tail;
    }
    return "ok " + text_of(head.method_name) + " " + text_of(head.target) + " " +
           asx_http1_target_form_name(static_cast<asx_http1_target_form>(head.form)) + " " + tail;
}

/* The long form: everything a caller can see. */
inline std::string full(const asx_http1_parser &parser, asx_http1_verdict verdict, bool response)
{
    const asx_http1_head &head = parser.head;
    std::string text = brief(parser, verdict, response);
    if (verdict != ASX_HTTP1_DONE) {
        return text + " " + std::to_string(parser.error.status);
    }
    text += " len=" + std::to_string(head.head_len) + " m=" + std::to_string(head.method) +
            " v=" + std::to_string(head.version_minor) +
            " e=" + std::to_string(head.expect_continue) +
            " hl=" + std::to_string(head.has_length) + " path=" + text_of(head.path) +
            " host=" + text_of(head.host) + " upgrade=" + text_of(head.upgrade) +
            " reason=" + text_of(head.reason);
    for (uint32_t i = 0; i < head.field_count; i++) {
        const asx_header_field &field = head.fields[i];
        text += "\n" + std::to_string(field.id) + " " + text_of(field.name) + ": " +
                text_of(field.value);
    }
    return text;
}

/* Bytes at the very end of an allocation, in a new place each time: what reads past them, or
 * keeps a pointer into the last one, is caught. */
inline std::unique_ptr<char[]> copy_of(const char *ptr, size_t len)
{
    std::unique_ptr<char[]> bytes(new char[len]);
    if (len > 0) {
        memcpy(bytes.get(), ptr, len);
    }
    return bytes;
}

/* Offers prefixes of the bytes, each in a buffer of its own, until there is a verdict. */
inline std::string offer(const std::string &kind, const std::string &bytes,
                         const std::vector<size_t> &prefixes, asx_http1_variant variant,
                         const asx_http1_limits &limits = asx_http1_limits_default)
{
    subject s(kind, limits);
    asx_http1_verdict verdict = ASX_HTTP1_NEED_MORE;
    std::unique_ptr<char[]> last;
    for (const size_t len : prefixes) {
        std::unique_ptr<char[]> next = copy_of(bytes.data(), len);
        verdict = asx_http1_parse_variant(&s.parser, next.get(), len, variant);
        last = std::move(next);
        if (verdict != ASX_HTTP1_NEED_MORE) {
            break;
        }
    }
    return full(s.parser, verdict, kind != "req");
}

/* Decodes a body offered in pieces of `step` bytes (0: all at once). */
inline std::string decode(asx_http1_body *body, const std::string &bytes, size_t step)
{
    std::string data, trailers, pending;
    size_t offered = 0;
    for (;;) {
        size_t used = 0;
        const std::unique_ptr<char[]> piece = copy_of(pending.data(), pending.size());
        const asx_http1_event event = asx_http1_body_next(body, piece.get(), pending.size(), &used);
        if (event == ASX_HTTP1_BODY_DATA) {
            data += text_of(body->data);
        } else if (event == ASX_HTTP1_BODY_TRAILER) {
            trailers += (trailers.empty() ? "" : ",") + text_of(body->trailer.name) + ":" +
                        text_of(body->trailer.value);
        } else if (event == ASX_HTTP1_BODY_ERROR) {
            return error_text(body->error);
        } else if (event == ASX_HTTP1_BODY_END) {
            const size_t rest = pending.size() - used + bytes.size() - offered;
            return "end data=" + data + (trailers.empty() ? "" : " trailers=" + trailers) +
                   " rest=" + std::to_string(rest);
        }
        pending.erase(0, used);
        if (event == ASX_HTTP1_BODY_NEED_MORE) {
            if (offered == bytes.size()) {
                return "more";
            }
            const size_t n = step ? std::min(step, bytes.size() - offered) : bytes.size();
            pending.append(bytes, offered, n);
            offered += n;
        }
    }
}

inline std::string decode_chunked(const std::string &bytes, size_t step,
                                  const asx_http1_limits &limits = asx_http1_limits_default)
{
    asx_http1_body body;
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_CHUNKED, 0, &limits);
    return decode(&body, bytes, step);
}

} // namespace http1_corpus

#endif
