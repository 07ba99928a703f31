#include "main.h"

#include <asx/shard/base/assert.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int asx_main(int argc, char **argv, asx_task_fn *app)
{
    asx_config config;
    char message[ASX_CONFIG_MESSAGE_MAX];
    switch (asx_config_parse(&config, argc, argv, environ, message)) {
    case ASX_CONFIG_OK:
        return asx_boot(&config, app);
    case ASX_CONFIG_HELP:
        asx_config_help(stdout, argc > 0 ? argv[0] : "asx");
        return 0;
    case ASX_CONFIG_VERSION:
        puts("asx " ASX_VERSION);
        return 0;
    case ASX_CONFIG_EFFECTIVE:
        asx_config_show(stdout, &config);
        return 0;
    case ASX_CONFIG_ERROR:
        break;
    }
    fprintf(stderr, "asx: %s\n", message);
    return 2;
}

int asx_run(asx_task_fn *app)
{
    asx_config config;
    char message[ASX_CONFIG_MESSAGE_MAX];
    char *none[] = { NULL };
    const asx_config_result defaults = asx_config_parse(&config, 0, none, NULL, message);
    asx_assert(defaults == ASX_CONFIG_OK);
    config.listen.count = 0;
    config.shards = 1;
    return asx_boot(&config, app);
}
