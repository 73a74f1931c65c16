/* loadgen MODE --option value ...: one measurement. The Python harness starts it
 * and reads its JSON line. */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

const struct protocol *find_protocol(const char *name)
{
    static const struct protocol *const all[] = {&frys_messages, &frys_singles, &frys_batches, &nats, &websocket, &raw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->name, name))
            return all[i];
    fail("unknown protocol %s", name);
}

static int read_option(struct options *options, const char *name, const char *value)
{
    struct { const char *name; const char **text; int *number; long *large; double *real; } all[] = {
        {.name = "--protocol", .text = &options->protocol},
        {.name = "--workflow", .text = &options->workflow},
        {.name = "--arrivals", .text = &options->arrivals},
        {.name = "--port", .number = &options->port},
        {.name = "--server-pid", .number = &options->server_pid},
        {.name = "--subscribers", .number = &options->subscribers},
        {.name = "--payload", .number = &options->payload},
        {.name = "--pack", .number = &options->pack},
        {.name = "--window", .number = &options->window},
        {.name = "--seconds", .real = &options->seconds},
        {.name = "--warmup", .real = &options->warmup},
        {.name = "--rate", .real = &options->rate},
        {.name = "--patience", .real = &options->patience},
        {.name = "--count", .large = &options->count},
        {.name = "--bytes", .large = &options->bytes},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(all[i].name, name))
            continue;
        if (all[i].text)
            *all[i].text = value;
        else if (all[i].number)
            *all[i].number = atoi(value);
        else if (all[i].large)
            *all[i].large = atol(value);
        else
            *all[i].real = atof(value);
        return 1;
    }
    return 0;
}

int main(int count, char **arguments)
{
    struct options options = {
        .mode = count > 1 ? arguments[1] : "", .protocol = "frys", .workflow = "bench", .arrivals = "even", .subscribers = 1, .payload = 100,
        .pack = 64, .window = 1024, .seconds = 1, .warmup = 0.3, .count = 1000, .bytes = 1 << 20, .patience = 10,
    };
    for (int i = 2; i < count; i += 2)
        if (i + 1 == count || !read_option(&options, arguments[i], arguments[i + 1]))
            fail("unknown option %s", arguments[i]);
    if (options.port <= 0 || options.pack <= 0 || options.subscribers <= 0 || options.count <= 0 || options.bytes <= 0)
        fail("--port, --pack, --subscribers, --count and --bytes have to be positive");
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives the harness */
    static const struct { const char *mode; void (*run)(const struct options *); } modes[] = {
        {"fanout", run_fanout}, {"latency", run_latency}, {"tensors", run_tensors}, {"idle", run_idle},
        {"publish", run_publish}, {"recovery", run_recovery}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(modes[i].mode, options.mode)) {
            modes[i].run(&options);
            return 0;
        }
    fail("unknown mode \"%s\": fanout, latency, tensors, idle, publish or recovery", options.mode);
}
