/* The texts of --help: what a command does, an example that works, every option with its default.
 */
#include "tool_internal.h"

#include <string.h>

static const char overview[] =
    "usage: asx rq encode FILE --out DIR      protect a file: spread it over volumes with repair\n"
    "       asx rq decode DIR --out FILE      get it back from what is left of them\n"
    "       asx rq verify DIR                 only check that this could be done\n"
    "       asx rq send FILE HOST:PORT        send a file over UDP, whatever gets lost\n"
    "       asx rq recv HOST:PORT --out FILE  receive one\n"
    "       asx rq COMMAND --help             every option, with an example\n"
    "\n"
    "RaptorQ (RFC 6330) makes any number of repair symbols of a file; nearly any set of symbols\n"
    "as large as the file gives it back. Exit status: 0 done, 1 failed and said why, 2 not\n"
    "understood.\n";

static const char encode_help[] =
    "usage: asx rq encode FILE --out DIR [OPTION VALUE]...\n"
    "\n"
    "Writes DIR/manifest and DIR/volume-00.rq ... Each volume has a share of every block, so that\n"
    "losing some of them, or damage spread over all, loses nothing as long as the symbols lost\n"
    "are fewer than the repair symbols. Example, where any 3 of 16 volumes may be lost:\n"
    "  asx rq encode photos.tar --out photos.rq --overhead 25%\n"
    "\n"
    "  --overhead 10%      repair symbols, as a share of the file\n"
    "  --symbol-size 1280  bytes of a symbol, 1 to 65535\n"
    "  --block-size 8M     bytes that are coded together; larger survives more and costs memory\n"
    "  --volumes 16        files to spread over, 1 to 99\n";

static const char decode_help[] =
    "usage: asx rq decode DIR --out FILE\n"
    "\n"
    "Reads what is left of the volumes, skips what is damaged or of another file, and writes FILE\n"
    "when its SHA-256 is right; otherwise says what is missing, and leaves FILE as it was.\n";

static const char verify_help[] =
    "usage: asx rq verify DIR\n"
    "\n"
    "Decodes without writing, and checks every record: exit status 0 when decode would succeed.\n";

static const char send_help[] =
    "usage: asx rq send FILE HOST:PORT [OPTION [VALUE]]...\n"
    "\n"
    "Sends FILE in datagrams to `asx rq recv`, and with feedback ends when it is stored there\n"
    "with the right SHA-256. Lost datagrams cost repair symbols and nothing else. A sender that\n"
    "was stopped can be started again: the receiver keeps what it has. Example:\n"
    "  there:  asx rq recv :9000 --out disk.img --key-file k\n"
    "  here:   head -c 32 /dev/urandom > k     (and copy k there by a safe way)\n"
    "          asx rq send disk.img there:9000 --key-file k --rate 50M\n"
    "\n"
    "  --rate 10M          bytes a second on the wire; 0 is no limit. It does not adapt: choose\n"
    "                      what the path can carry\n"
    "  --overhead 0%       repair symbols sent ahead of need; 10% with --no-feedback\n"
    "  --symbol-size 1280  bytes of a symbol; a datagram has 44 more, and 28 of UDP and IP\n"
    "  --block-size 2M     bytes that are coded together\n"
    "  --window 4          blocks under way at once\n"
    "  --timeout 30        seconds without an answer after which to give up\n"
    "  --key-file FILE     key of the transfer: 32 bytes, or 64 hexadecimal digits. Without one,\n"
    "                      anybody can spoil a transfer, though never alter it unseen\n"
    "  --key HEX           the same; seen by everyone who can list processes\n"
    "  --no-feedback       expect no answer (a one-way path): the file with overhead, once\n"
    "  --rounds 0          without feedback: as much overhead again, so many times\n"
    "  --fresh             without feedback: repair symbols alone, of random numbers; what to use\n"
    "                      when another sender was stopped half-way\n"
    "  --quiet             no progress line (there is none anyway when stderr is no terminal)\n";

static const char recv_help[] =
    "usage: asx rq recv HOST:PORT --out FILE [OPTION [VALUE]]...\n"
    "\n"
    "Waits on that address for one file of `asx rq send`, and ends when it stands whole at FILE.\n"
    "Until then FILE is as it was, and no part is left behind, however this ends, unless --resume\n"
    "asks for it. HOST may be left out (any address), port 0 asks for a free one. Example:\n"
    "  asx rq recv :9000 --out disk.img --key-file k\n"
    "\n"
    "  --key-file FILE     key of the transfer: 32 bytes, or 64 hexadecimal digits. With one,\n"
    "                      forged datagrams are dropped and counted\n"
    "  --key HEX           the same; seen by everyone who can list processes\n"
    "  --max-size 16G      refuse larger files\n"
    "  --memory 1G         for blocks in progress\n"
    "  --wait SECONDS      for the first datagram; without end if not given\n"
    "  --timeout 30        seconds without a datagram after which to give up\n"
    "  --linger 2          seconds to go on answering, so that the sender knows\n"
    "  --resume            keep what comes in FILE.resume until FILE is there; a run that ended\n"
    "                      early, even by a crash, is taken up where it was\n"
    "  --quiet             no progress line (there is none anyway when stderr is no terminal)\n";

const char *asxi_tool_help(const char *command)
{
    static const struct {
        const char *command, *text;
    } texts[] = {
        { "", overview },          { "--help", overview },    { "-h", overview },
        { "help", overview },      { "encode", encode_help }, { "decode", decode_help },
        { "verify", verify_help }, { "send", send_help },     { "recv", recv_help },
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(texts[i].command, command) == 0) {
            return texts[i].text;
        }
    }
    return NULL;
}
