// Node: buffers are filled, cut and joined, and objects go through JSON and the compressor. V8's own heap is
// not malloc's; buffers, strings from outside, the compressor and the compiler are. `node words.js AMOUNT`
"use strict";

const zlib = require("zlib");

const amount = Number(process.argv[2] || 100);
let state = 4;
const below = (limit) => (state = (state * 48271) % 2147483647) % limit;

const kept = new Map();
for (let turn = 0; turn < 150 * amount; turn++) {
  const parts = [];
  for (let part = 0; part < 24; part++) parts.push(Buffer.alloc(64 + below(part % 8 ? 2000 : 60000), part));
  const whole = Buffer.concat(parts);
  const hex = (row) => whole.toString("hex", row, row + below(300));
  const rows = Array.from({ length: 20 }, (_, row) => ({ row, text: hex(row) }));
  const packed = zlib.deflateRawSync(Buffer.from(JSON.stringify(rows)), { level: 1 });
  kept.set(below(500), [packed, whole.subarray(0, below(whole.length))]);
}
