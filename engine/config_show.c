/* What people read: the help, and the settings that a run would have. */
#include "config_internal.h"

#include <string.h>

void asx_config_help(FILE *out, const char *program)
{
    const char *group = "";
    fprintf(out, "usage: %s [--SETTING VALUE]... [--config FILE]\n", program);
    for (size_t i = 0; i < asxi_setting_count; i++) {
        const asxi_setting *const s = &asxi_settings[i];
        if (strcmp(group, s->group) != 0) {
            group = s->group;
            fprintf(out, "\n%s\n", group);
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
            "\nA file given with --config has the same settings, one a line:\n"
            "  # comment\n"
            "  listen = 0.0.0.0:80\n"
            "  drain-timeout = 30s          # another\n"
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
            "log again.\n",
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

void asx_config_show(FILE *out, const asx_config *config)
{
    for (size_t i = 0; i < asxi_setting_count; i++) {
        const asxi_setting *const s = &asxi_settings[i];
        char value[ASX_CONFIG_PATH_MAX + 2] = "", line[ASX_CONFIG_PATH_MAX + 64];
        uint32_t at = 0;
        /* A setting that is empty has no line that would be read as that. */
        bool any = asxi_config_text(config, s, at, value, sizeof(value));
        do {
            snprintf(line, sizeof(line), "%s%s = %s", any ? "" : "# ", s->name, value);
            fprintf(out, "%-40s # ", line);
            show_origin(out, s, &config->origins[i]);
            at++;
            any = asxi_config_text(config, s, at, value, sizeof(value));
        } while (any);
    }
}
