// Drives edgecap with the official SDK: nothing of it is changed but the base
// URL. Settings come as JSON in SDK_SETTINGS; the program prints one line per
// check and exits with 1 at the first that fails.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import crypto from "node:crypto";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";

const settings = JSON.parse(process.env.SDK_SETTINGS);
// The SDK is installed elsewhere than where this file stands.
const require = createRequire(path.join(settings.modules, "package.json"));
const Cloudflare = require("cloudflare");

const account_id = settings.account;
const deadlineMilliseconds = 20000;

function client(options) {
  return new Cloudflare({
    baseURL: settings.baseURL,
    apiToken: null,
    apiKey: null,
    apiEmail: null,
    maxRetries: 0,
    ...options,
  });
}

const withToken = client({ apiToken: settings.token });
const withPair = client({ apiEmail: settings.email, apiKey: settings.key });
const withBoth = client({
  apiToken: settings.token,
  apiEmail: settings.email,
  apiKey: settings.key,
});

function params(changes = {}) {
  return {
    account_id,
    type: "simple",
    system: "magic-transit",
    time_limit: 300,
    packet_limit: 3,
    filter_v1: { destination_port: settings.port, protocol: 17 },
    ...changes,
  };
}

const pcaps = (c) => c.magicTransit.pcaps;

/// Sends packets that match into the interface that is captured on.
async function sendPackets(count) {
  const [program, ...rest] = settings.sender;
  await promisify(execFile)(program, [...rest, String(count)]);
}

/// Asks until `done(job)`; the deadline is what ends it.
async function getUntil(c, id, done) {
  const end = Date.now() + deadlineMilliseconds;
  for (;;) {
    const job = await pcaps(c).get(id, { account_id });
    if (done(job)) return job;
    assert.ok(Date.now() < end, `waited in vain: ${JSON.stringify(job)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Creates as soon as it may: the SDK waits as the answer tells it.
const patient = client({ apiToken: settings.token, maxRetries: 3 });

async function rejects(promise, type, status, codes) {
  let error;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  assert.ok(error, `expected ${type.name}`);
  assert.ok(
    error instanceof type && error.constructor === type,
    `expected ${type.name}, got ${error.constructor.name}: ${error.message}`,
  );
  assert.equal(error.status, status);
  const got = error.errors.map((x) => x.code);
  assert.deepEqual(got, codes);
  return error;
}

const checks = {
  async "create, get until success, download, list, stop"() {
    const created = await pcaps(patient).create(params());
    assert.match(created.id, /^[0-9a-f]{32}$/);
    assert.equal(created.status, "pending");
    assert.equal(created.type, "simple");
    assert.equal(created.system, "magic-transit");
    assert.equal(created.time_limit, 300);
    assert.deepEqual(created.filter_v1, params().filter_v1);
    assert.ok(!Number.isNaN(Date.parse(created.submitted)));

    await getUntil(withToken, created.id, (job) =>
      job.interfaces.every((x) => x.state === "capturing") &&
      job.interfaces.length > 0);
    await sendPackets(3);
    const done = await getUntil(
      withToken, created.id, (job) => job.status !== "pending");
    assert.equal(done.status, "success");
    assert.equal(done.packets_captured, 3);

    const response = await pcaps(withToken).download.get(
      created.id, { account_id });
    assert.equal(response.status, 200);
    assert.equal(
      response.headers.get("content-type"), "application/vnd.tcpdump.pcap");
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.equal(bytes.readUInt32LE(0), 0xa1b23c4d);
    assert.equal(
      bytes.length, 24 + 3 * 16 + Number(done.bytes_captured));

    const listed = [];
    for await (const job of pcaps(withToken).list({ account_id }))
      listed.push(job.id);
    assert.ok(listed.includes(created.id));

    assert.equal(await pcaps(withToken).stop(created.id, { account_id }), null);
  },

  async "stop keeps what was captured"() {
    const { id } = await pcaps(patient).create(params({ packet_limit: 100 }));
    await getUntil(withToken, id, (job) =>
      job.interfaces.length > 0 &&
      job.interfaces.every((x) => x.state === "capturing"));
    await sendPackets(2);
    await getUntil(withToken, id, (job) => job.packets_captured === 2);
    await pcaps(withToken).stop(id, { account_id });
    const job = await getUntil(withToken, id, (x) => x.status !== "pending");
    assert.equal(job.status, "success");
    assert.equal(job.end_reason, "stopped");
    assert.equal(job.packets_captured, 2);
  },

  async "every kind of credentials"() {
    for (const c of [withToken, withPair, withBoth]) {
      const page = await pcaps(c).list({ account_id });
      assert.ok(Array.isArray(page.result));
    }
  },

  async "bad input"() {
    const error = await rejects(
      pcaps(withToken).create(params({
        time_limit: 301,
        packet_limit: "many",
        filter_v1: { source_port: 65536 },
      })),
      Cloudflare.BadRequestError, 400, [20103, 20102, 20103]);
    assert.deepEqual(
      error.errors.map((x) => x.source.pointer).sort(),
      ["/filter_v1/source_port", "/packet_limit", "/time_limit"]);
    await rejects(
      pcaps(withToken).create(params({ type: "full" })),
      Cloudflare.BadRequestError, 400, [20106]);
  },

  async "no credentials"() {
    for (const c of [client({}), client({ apiEmail: settings.email })])
      await rejects(
        pcaps(c).list({ account_id }),
        Cloudflare.BadRequestError, 400, [9106]);
  },

  async "wrong credentials"() {
    for (const c of [
      client({ apiToken: "wrong-token-of-nobody" }),
      client({ apiEmail: settings.email, apiKey: "wrong-key" }),
    ])
      await rejects(
        pcaps(c).list({ account_id }),
        Cloudflare.PermissionDeniedError, 403, [10000]);
  },

  async "a right that is missing"() {
    const c = client({ apiToken: settings.readToken });
    await rejects(
      pcaps(c).create(params()),
      Cloudflare.PermissionDeniedError, 403, [10001]);
  },

  async "an unknown id"() {
    const id = "0".repeat(32);
    for (const ask of [
      () => pcaps(withToken).get(id, { account_id }),
      () => pcaps(withToken).stop(id, { account_id }),
      () => pcaps(withToken).download.get(id, { account_id }),
    ])
      await rejects(ask(), Cloudflare.NotFoundError, 404, [20200]);
  },

  async "a download that is not ready"() {
    const { id } = await pcaps(patient).create(params());
    await rejects(
      pcaps(withToken).download.get(id, { account_id }),
      Cloudflare.NotFoundError, 404, [20201]);
    await pcaps(withToken).stop(id, { account_id });
  },

  async "the second create within the window, and the SDK's own retries"() {
    await pcaps(patient).create(params());
    const error = await rejects(
      pcaps(withToken).create(params()),
      Cloudflare.RateLimitError, 429, [20300]);
    const wait = Number(error.headers.get("retry-after-ms"));
    assert.ok(wait > 0 && wait <= settings.windowSeconds * 1000);
    const before = Date.now();
    const retrying = client({ apiToken: settings.token, maxRetries: 2 });
    const created = await pcaps(retrying).create(params());
    assert.equal(created.status, "pending");
    // It has waited as it was told: half a second for two clocks.
    const took = Date.now() - before;
    assert.ok(took >= wait - 500, `took ${took} ms instead of ${wait}`);
  },

  async "a create that is asked twice"() {
    const keys = [];
    const watched = client({
      apiToken: settings.token,
      maxRetries: 3,
      fetch: (url, init) => {
        keys.push(new Headers(init.headers).get("idempotency-key"));
        return fetch(url, init);
      },
    });
    await pcaps(watched).create(params());
    assert.ok(keys.every((key) => key === null), "it has no key of its own");
    keys.length = 0;
    const key = crypto.randomUUID();
    const options = { headers: { "Idempotency-Key": key } };
    // The allowance is used up: the SDK asks again, with the same key.
    const created = await pcaps(watched).create(params(), options);
    assert.ok(keys.length > 1 && keys.every((x) => x === key), keys.join());
    const again = await pcaps(withToken).create(params(), options);
    assert.equal(again.id, created.id);
    await rejects(
      pcaps(withToken).create(params({ packet_limit: 4 }), options),
      Cloudflare.UnprocessableEntityError, 422, [20109]);
  },

  async "ownership is not supported"() {
    await rejects(
      pcaps(withToken).ownership.get({ account_id }),
      Cloudflare.BadRequestError, 400, [20106]);
    await rejects(
      pcaps(withToken).ownership.create(
        { account_id, destination_conf: "s3://bucket/dir?region=r" }),
      Cloudflare.BadRequestError, 400, [20106]);
    await rejects(
      pcaps(withToken).ownership.validate({
        account_id,
        destination_conf: "s3://bucket/dir?region=r",
        ownership_challenge: "x",
      }),
      Cloudflare.BadRequestError, 400, [20106]);
    await rejects(
      pcaps(withToken).ownership.delete("0".repeat(32), { account_id }),
      Cloudflare.BadRequestError, 400, [20106]);
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok: ${name}`);
  } catch (error) {
    console.log(`FAILED: ${name}\n${error.stack}`);
    process.exit(1);
  }
}
