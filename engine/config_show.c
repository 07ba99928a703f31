/* What people read: the help, and the settings that a run would have. */
#include "config_internal.h"

#include <string.h>

void asx_config_help(FILE *out, const char *program)
{
    const asxi_setting_group *group = NULL;
    fprintf(out, "usage: %s [--SETTING VALUE]... [--config FILE]\n", program);
    for (size_t i = 0; i < asxi_setting_count; i++) {
        const asxi_setting *const s = &asxi_settings[i];
        if (group != s->group) {
            group = s->group;
            fprintf(out, "\n%s\n", group->title);
        }
        char left[64];
        snprintf(left, sizeof(left), "--%s %s", s->name, s->shape);
        fprintf(out, "  %-32s %s", left, s->help);
        if (s->initial[0] != '\0') {
            fprintf(out, " [%s]", s->initial);
        }
        fputc('\n', out);
    }
    fprintf(out,
            "\nA file given with --config has the same settings in TOML, text in quotes, on their "
            "own or in\n[network], [engine], [limits], [timeouts] and [drain]:\n"
            "  listen = [\"0.0.0.0:80\", \"unix:/run/asx.sock\"]\n"
            "  [limits]\n"
            "  max-connections = 10000\n"
            "  max-body = \"64k\"              # a comment\n"
            "So has the environment: ASX_DRAIN_TIMEOUT=30s, ASX_LISTEN with commas between "
            "addresses,\nASX_CONFIG=FILE. A flag overrules the environment, that the file, and the "
            "file the\n[default]. With --effective the settings are shown, and where each came "
            "from.\n"
            "\nExamples\n"
            "  %s --listen 0.0.0.0:8080 --shards 4\n"
            "  %s --listen unix:/run/asx.sock --root /srv/www --access-log -\n"
            "  %s --driver epoll --admin 127.0.0.1:9090\n"
            "\nSIGTERM and SIGINT drain: what is in flight finishes within --drain-timeout, "
            "then it is\ncancelled; a second signal cancels at once. SIGHUP opens the access "
            "log again\nand reads the file again: limits, time limits, drain and access-log change "
            "at once, what else\nhas changed needs a restart, and a file with a mistake changes "
            "nothing.\n",
            program, program, program);
}

static void show_origin(FILE *out, const asxi_setting *s, const asx_config_origin *origin)
{
    switch ((asx_config_source)origin->source) {
    case ASX_CONFIG_DEFAULT:
        fputs("default\n", out);
        break;
    case ASX_CONFIG_FILE:
        fprintf(out, "%s:%u\n", origin->file, origin->line);
        break;
    case ASX_CONFIG_ENVIRONMENT:
        fputs("environment\n", out);
        break;
    case ASX_CONFIG_FLAG:
        fprintf(out, "--%s\n", s->name);
        break;
    }
}

/* As TOML writes it. How many bytes it was. */
static int show_value(FILE *out, const asxi_setting *s, const char *text)
{
    const bool is_number = s->kind >= ASXI_SETTING_COUNT && s->kind <= ASXI_SETTING_RATE;
    if (is_number && strspn(text, "0123456789") == strlen(text)) {
        return fprintf(out, "%s", text);
    }
    int len = fprintf(out, "\"");
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        len += c < 0x20 || c == 0x7F ? fprintf(out, "\\u%04x", c)
                                     : fprintf(out, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    return len + fprintf(out, "\"");
}

static int show_list(FILE *out, const asx_config *config, const asxi_setting *s)
{
    char text[ASX_ADDR_TEXT_MAX];
    int len = fprintf(out, "[");
    for (uint32_t at = 0; asxi_config_text(config, s, at, text, sizeof(text)); at++) {
        len += at > 0 ? fprintf(out, ", ") : 0;
        len += show_value(out, s, text);
    }
    return len + fprintf(out, "]");
}

void asx_config_show(FILE *out, const asx_config *config)
{
    for (size_t i = 0; i < asxi_setting_count; i++) {
        const asxi_setting *const s = &asxi_settings[i];
        char text[ASX_CONFIG_PATH_MAX] = "", other[ASX_CONFIG_PATH_MAX];
        /* A setting that is empty has no line that would be read as that. */
        const bool any = asxi_config_text(config, s, 0, text, sizeof(text));
        int len = fprintf(out, "%s%s = ", any ? "" : "# ", s->name);
        if (asxi_config_text(config, s, 1, other, sizeof(other))) {
            len += show_list(out, config, s);
        } else if (any) {
            len += show_value(out, s, text);
        }
        fprintf(out, "%*s # ", len < 40 ? 40 - len : 0, "");
        show_origin(out, s, &config->origins[i]);
    }
}
