/* Compares our parser with the one inside node (llhttp) on the table's messages and on random
 * changes of them: accept or reject, method, target, fields and body. Each kind of difference must
 * stand in llhttp_differences.txt with its reason; a new kind fails.
 *
 *   node llhttp_diff.js DRIVER [ROUNDS [SEED]]
 */
'use strict';
const fs = require('fs');
const path = require('path');
const { spawnSync } = require('child_process');
let HTTPParser, methods;
try {
  process.removeAllListeners('warning');
  process.noDeprecation = true;
  ({ HTTPParser, methods } = require('_http_common'));
} catch (error) {
  console.log(`skipped: this node does not show its parser (${error.message})`);
  process.exit(77);
}

const [driver, rounds = '30000', seed = '1'] = process.argv.slice(2);
const here = __dirname;

function unescape(text) {
  return text
    .replace(/\{(.)\*(\d+)\}/g, (_, c, n) => c.repeat(+n))
    .replace(/\\(x..|.)/g, (_, e) =>
      ({ r: '\r', n: '\n', t: '\t', 0: '\0', '\\': '\\' })[e] ??
      String.fromCharCode(parseInt(e.slice(1), 16)));
}

/* Bodies become requests, so that both sides see a framing. */
const chunkedHead = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
function loadTable() {
  return fs.readFileSync(path.join(here, 'http1_corpus.txt'), 'latin1').split('\n')
    .filter((line) => line && line[0] !== '#')
    .map((line) => line.split('\t'))
    .filter(([kind]) => ['req', 'res', 'chunked'].includes(kind))
    .map(([kind, , bytes]) => ({
      response: kind === 'res',
      bytes: (kind === 'chunked' ? chunkedHead : '') + unescape(bytes),
    }));
}

/* xorshift32: the same messages for the same seed on every host. */
let state = (+seed * 2654435761 + 1) >>> 0 || 1;
function below(n) {
  state ^= state << 13; state >>>= 0;
  state ^= state >>> 17;
  state ^= state << 5; state >>>= 0;
  return state % n;
}

const special = '\r\n\t :;,/#%\0\x7f\x80\xffGH15*[]';
function mutate(bytes) {
  for (let i = 1 + below(3); i > 0 && bytes.length; i--) {
    const at = below(bytes.length);
    const put = (skip, text) => { bytes = bytes.slice(0, at) + text + bytes.slice(at + skip); };
    switch (below(5)) {
      case 0: put(1, String.fromCharCode(below(256))); break;
      case 1: put(1, special[below(special.length)]); break;
      case 2: put(1 + below(5), ''); break;
      case 3: put(0, special[below(special.length)]); break;
      default: { const from = below(bytes.length); put(0, bytes.slice(from, from + 12)); }
    }
  }
  return bytes;
}

/* The first message as llhttp reads it, in the driver's words. */
function theirs({ response, bytes }) {
  const parser = new HTTPParser();
  const message = { fields: [], body: '', done: false, head: '' };
  const hex = (text) => 'x' + Buffer.from(text, 'latin1').toString('hex');
  parser.initialize(response ? HTTPParser.RESPONSE : HTTPParser.REQUEST, {}, 1 << 20);
  parser[HTTPParser.kOnHeaders | 0] = (fields, url) => {
    if (!message.head) {
      message.fields.push(...fields);
      message.url = (message.url ?? '') + url;
    }
  };
  parser[HTTPParser.kOnHeadersComplete | 0] =
    (major, minor, fields, method, url, status) => {
      if (message.head) return 0;
      message.fields.push(...(fields ?? []));
      message.head = response ? `${status} x`
        : `${hex(methods[method])} ${hex((message.url ?? '') + (url ?? ''))}`;
      return 0;
    };
  parser[HTTPParser.kOnBody | 0] = (chunk, offset, len) => {
    if (!message.done) {
      message.body += (offset === undefined ? chunk : chunk.slice(offset, offset + len)).toString('latin1');
    }
  };
  parser[HTTPParser.kOnMessageComplete | 0] = () => { message.done = true; };
  const result = parser.execute(Buffer.from(bytes, 'latin1'));
  parser.close();
  if (message.done) {
    const pairs = [];
    for (let i = 0; i < message.fields.length; i += 2) {
      pairs.push(hex(message.fields[i]) + '=' + hex(message.fields[i + 1]));
    }
    return `accept ${message.head} ${hex(message.body)} ${pairs.join(',') || '-'}`;
  }
  if (result instanceof Error) return `reject ${result.code}`;
  return message.head ? 'more body' : 'more head';
}

function ours(messages) {
  const parts = [];
  for (const { response, bytes } of messages) {
    const prefix = Buffer.alloc(5);
    prefix[0] = response ? 0x73 : 0x71;
    prefix.writeUInt32LE(bytes.length, 1);
    parts.push(prefix, Buffer.from(bytes, 'latin1'));
  }
  const run = spawnSync(driver, [], { input: Buffer.concat(parts), maxBuffer: 1 << 30 });
  if (run.status !== 0) throw new Error(`driver ended with ${run.status ?? run.signal}`);
  return run.stdout.toString('latin1').split('\n').slice(0, -1);
}

/* What kind of difference: "ours theirs", or which part two accepted messages differ in. */
function kindOf(a, b) {
  if (a === b) return null;
  const x = a.split(' '), y = b.split(' ');
  if (x[0] === 'accept' && y[0] === 'accept') {
    const part = ['', 'method', 'target', 'body', 'fields'].find((_, i) => x[i] !== y[i]);
    return `accept accept:${part}`;
  }
  if (x[0] === 'reject' && y[0] === 'reject') return null;
  if (x[0] === 'more' && y[0] === 'more') return null;
  const say = (p) => (p[0] === 'reject' ? p[1] : p[0]);
  return `${say(x)} ${say(y)}`;
}

function loadReasons() {
  const reasons = new Map();
  for (const line of fs.readFileSync(path.join(here, 'llhttp_differences.txt'), 'latin1').split('\n')) {
    if (!line || line[0] === '#') continue;
    const [a, b, ...reason] = line.trim().split(/\s+/);
    reasons.set(`${a} ${b}`, reason.join(' '));
  }
  return reasons;
}

const reasons = loadReasons();
/* An asterisk stands for accept and more: we refuse, they do not. */
function reasonOf(kind) {
  const [a, b] = kind.split(' ');
  return reasons.get(kind) ?? (b.startsWith('HPE_') ? undefined : reasons.get(`${a} *`));
}

const table = loadTable();
const messages = [...table];
const short = table.filter(({ bytes }) => bytes.length < 2000);
for (let i = 0; i < +rounds; i++) {
  const { response, bytes } = short[below(short.length)];
  messages.push({ response, bytes: mutate(bytes) });
}
const answers = ours(messages);
if (answers.length !== messages.length) throw new Error('the driver lost messages');
const counts = new Map();
let unexplained = 0, same = 0;
messages.forEach((message, i) => {
  const other = theirs(message);
  const kind = kindOf(answers[i], other);
  if (!kind) { same++; return; }
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
  if (!reasonOf(kind)) {
    if (unexplained++ < 40) {
      console.log(`${kind}: ${JSON.stringify(message.bytes.slice(0, 300))}\n  ours   ${answers[i].slice(0, 300)}\n  theirs ${other.slice(0, 300)}`);
    }
  }
});
for (const [kind, count] of [...counts].sort((a, b) => b[1] - a[1])) {
  console.log(`${String(count).padStart(7)}  ${kind}  ${reasonOf(kind) ?? '??'}`);
}
console.log(`${messages.length} messages, seed ${seed}: ${same} alike, ${unexplained} of a kind without a reason (llhttp ${process.versions.llhttp})`);
process.exit(unexplained ? 1 : 0);
