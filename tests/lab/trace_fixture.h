/* Trace files in memory, and what may be done to them. */
#ifndef ASX_TESTS_LAB_TRACE_FIXTURE_H
#define ASX_TESTS_LAB_TRACE_FIXTURE_H

#include <asx/lab/trace_reader.h>

#include "lab_fixture.h"

#include <cstring>
#include <functional>
#include <vector>

using file_bytes = std::vector<char>;

/* A seekable stream that keeps what is written, and has room for `cap` bytes. */
struct memory_file {
    file_bytes bytes;
    size_t at = 0, cap;
    FILE *file;

    explicit memory_file(size_t room = SIZE_MAX) : cap(room)
    {
        cookie_io_functions_t io{};
        io.write = write;
        io.seek = seek;
        file = fopencookie(this, "w", io);
        REQUIRE(file);
    }
    ~memory_file()
    {
        fclose(file);
    }
    memory_file(const memory_file &) = delete;

    static ssize_t write(void *cookie, const char *data, size_t len)
    {
        memory_file *self = static_cast<memory_file *>(cookie);
        const size_t room = self->at < self->cap ? self->cap - self->at : 0;
        if (room < len) {
            len = room;
            errno = ENOSPC;
        }
        if (self->bytes.size() < self->at + len) {
            self->bytes.resize(self->at + len);
        }
        std::copy(data, data + len, self->bytes.begin() + static_cast<ptrdiff_t>(self->at));
        self->at += len;
        return static_cast<ssize_t>(len);
    }
    static int seek(void *cookie, off64_t *offset, int whence)
    {
        memory_file *self = static_cast<memory_file *>(cookie);
        self->at =
            static_cast<size_t>(whence == SEEK_SET   ? *offset
                                : whence == SEEK_CUR ? static_cast<off64_t>(self->at) + *offset
                                                     : static_cast<off64_t>(self->bytes.size()));
        *offset = static_cast<off64_t>(self->at);
        return 0;
    }
};

/* A reader over bytes, and everything that came out of it. */
struct trace_read {
    file_bytes bytes;
    FILE *file;
    asx_lab_trace_reader *reader;
    std::vector<asx_lab_event> events;
    std::string wrong;

    explicit trace_read(const file_bytes &from, asx_lab_trace_manner manner = ASX_LAB_TRACE_STRICT)
        : bytes(from)
    {
        bytes.push_back(0); /* fmemopen refuses to open nothing */
        file = fmemopen(bytes.data(), bytes.size(), "rb");
        REQUIRE(file);
        bytes.pop_back();
        fclose(file);
        file =
            bytes.empty() ? fopen("/dev/null", "rb") : fmemopen(bytes.data(), bytes.size(), "rb");
        reader = asx_lab_trace_reader_create(file, manner);
        asx_lab_event event;
        while (asx_lab_trace_reader_next(reader, &event)) {
            events.push_back(event);
        }
        const char *text = asx_lab_trace_reader_wrong(reader);
        wrong = text ? text : "";
    }
    ~trace_read()
    {
        asx_lab_trace_reader_destroy(reader);
        fclose(file);
    }
    trace_read(const trace_read &) = delete;
    const asx_lab_trace_info &info() const
    {
        return *asx_lab_trace_reader_info(reader);
    }
};

static inline bool same_record(const asx_lab_event &a, const asx_lab_event &b)
{
    return asx_lab_event_size(&a) == asx_lab_event_size(&b) &&
           memcmp(&a, &b, asx_lab_event_size(&a)) == 0;
}

/* One scenario's run, with its trace streamed to memory. */
struct traced_run {
    memory_file out;
    asx_lab_report report{};
    asx_err finished = ASX_OK, halted = ASX_OK;
    uint64_t kept = 0;
    asx_lab_config config;

    traced_run(const char *name, asx_lab_trace_options options, uint64_t seed = 42,
               size_t room = SIZE_MAX)
        : out(room)
    {
        const asx_lab_scenario *scenario = asx_lab_scenario_find(name);
        REQUIRE(scenario);
        config = asx_lab_scenario_config(scenario, seed, 0);
        options.scenario = name;
        options.config = &config;
        asx_lab_trace_writer *writer;
        REQUIRE(asx_lab_trace_writer_create(out.file, &options, &writer) == ASX_OK);
        asx_lab_config heard = config;
        heard.listeners = asx_lab_trace_writer_listener(writer);
        heard.fingerprint = true;
        (void)asx_lab_run(&heard, scenario->app, nullptr, &report);
        finished = asx_lab_trace_writer_finish(writer, &report);
        halted = asx_lab_trace_writer_halted(writer);
        kept = asx_lab_trace_writer_kept(writer);
        asx_lab_trace_writer_destroy(writer);
    }
    ~traced_run()
    {
        asx_lab_report_deinit(&report);
    }
    traced_run(const traced_run &) = delete;
    const file_bytes &bytes() const
    {
        return out.bytes;
    }
};

#endif
