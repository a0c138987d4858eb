// Node: Buffers of 2 to 31 MiB are filled, some are kept for a while, and all are dropped; then only small
// ones come and go until the next load. Stands for uploads, images and archives that pass through a service.
// V8 does not know what malloc holds, so the collector is asked for when they are dropped: when memory comes
// back is the allocator's doing. Tells what is resident with them and at the end of the quiet time.
// `node --expose-gc buffers.js AMOUNT`
"use strict";

const { setTimeout: pause } = require("timers/promises");

const MIB = 1 << 20;
const LOADS = 10, UPLOADS = 40, KEPT = 12; // of one load, and how many of them are there at a time
const QUIET_STEPS = 100;

const amount = Number(process.argv[2] || 100);
let state = 11;
const below = (limit) => (state = (state * 48271) % 2147483647) % limit;
const tell = (stage) => console.log(`resident ${stage} ${process.memoryUsage.rss()}`);

function load() {
  const kept = [];
  for (let upload = 0; upload < UPLOADS; upload++) {
    const size = 2 * MIB + below(29 * MIB);
    const whole = Buffer.allocUnsafe(size).fill(upload);
    if (upload % 4 == 0) kept.push(Buffer.concat([whole.subarray(0, size >> 1), whole.subarray(size >> 1)]));
    else kept.push(whole);
    if (kept.length > KEPT) kept.splice(below(KEPT), 1);
  }
  return kept.length;
}

async function quiet() {
  for (let step = 0; step < QUIET_STEPS; step++) {
    for (let part = 0; part < 20; part++) Buffer.alloc(64 + below(8000), part);
    await pause(2);
  }
}

async function main() {
  for (let turn = 1; turn <= (LOADS * amount) / 100; turn++) {
    load();
    tell(`loaded-${turn}`);
    global.gc();
    await quiet();
    tell(`dropped-${turn}`);
  }
}

main();
