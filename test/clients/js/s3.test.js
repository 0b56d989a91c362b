// The AWS SDK for JavaScript at its defaults. The Go tests in the folder above run this, and say where the segments are.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import * as s3 from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const LARGE = (17 << 20) + 4321;
const Bucket = "js-" + randomBytes(6).toString("hex");

function connect(prefix) {
  const env = (name) => process.env[prefix + name];
  return new s3.S3Client({
    endpoint: env("ENDPOINT_URL"),
    region: env("REGION"),
    forcePathStyle: true,
    credentials: { accessKeyId: env("ACCESS_KEY_ID"), secretAccessKey: env("SECRET_ACCESS_KEY") },
  });
}

const client = connect("AWS_");
const peer = connect("PEER_");
const put = (Key, Body, more) => client.send(new s3.PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = (Key, more, from = client) => from.send(new s3.GetObjectCommand({ Bucket, Key, ...more }));
const body = async (...args) => Buffer.from(await (await get(...args)).Body.transformToByteArray());
const refused = (name, promise) => assert.rejects(promise, { name });

function same(got, want) {
  assert.ok(got.equals(want), `${got.length} bytes, want ${want.length}, or others`);
}

before(() => client.send(new s3.CreateBucketCommand({ Bucket })));
after(() => [client, peer].forEach((c) => c.destroy()));

test("sizes", async () => {
  for (const n of [0, 1, 4096, 32768, 32769, 1_000_007]) {
    const want = randomBytes(n);
    const out = await put(`size ${n}`, want);
    assert.equal(out.ETag, `"${createHash("md5").update(want).digest("hex")}"`);
    assert.ok(out.ChecksumCRC32 || out.ChecksumCRC64NVME, "the checksum sent is not answered");
    same(await body(`size ${n}`), want);
  }
});

test("a stream of known length", async () => {
  const want = randomBytes(300_001);
  await put("stream", Readable.from([want.subarray(0, 100_000), want.subarray(100_000)]), { ContentLength: want.length });
  same(await body("stream"), want);
});

test("an upload in parts, copied, and read at the other site", async () => {
  const want = randomBytes(LARGE);
  const upload = new Upload({ client, params: { Bucket, Key: "large", Body: Readable.from([want]), Metadata: { colour: "blue" } }, queueSize: 3 });
  const done = await upload.done();
  assert.match(done.ETag, /-4"$/);
  same(await body("large"), want);
  same(await body("large", { Range: "bytes=5242870-5242890" }), want.subarray(5242870, 5242891));
  same(await body("large", { PartNumber: 4 }), want.subarray(15 << 20));
  await client.send(new s3.CopyObjectCommand({ Bucket, Key: "a copy+1", CopySource: `${Bucket}/large` }));
  assert.deepEqual((await client.send(new s3.HeadObjectCommand({ Bucket, Key: "a copy+1" }))).Metadata, { colour: "blue" });
  await s3.waitUntilObjectExists({ client: peer, maxWaitTime: 30, minDelay: 1 }, { Bucket, Key: "a copy+1" });
  same(await body("a copy+1", {}, peer), want);
});

test("each checksum", async () => {
  const want = randomBytes(70_000);
  for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
    const out = await put("sum", want, { ChecksumAlgorithm });
    const got = await get("sum", { ChecksumMode: "ENABLED" });
    assert.equal(got["Checksum" + ChecksumAlgorithm], out["Checksum" + ChecksumAlgorithm]);
    same(Buffer.from(await got.Body.transformToByteArray()), want);
  }
  await refused("BadDigest", put("wrong", "this", { ChecksumSHA256: createHash("sha256").update("other").digest("base64") }));
});

test("names are listed as they are, and deleted", async () => {
  const names = ["with space", "plus+&", "percent%20%2F", "hash#", "question?a=b", "quote'\"", "ünïcödé", "日本語/ファイル", "emoji 😀", "a//b", "trailing/", "tab\t", "nl\n", "<&>"];
  for (const name of names) await put("names/" + name, name);
  for (const name of names) same(await body("names/" + name), Buffer.from(name));
  const want = names.map((n) => Buffer.from("names/" + n)).sort(Buffer.compare).map(String);
  const got = [];
  for await (const page of s3.paginateListObjectsV2({ client, pageSize: 5 }, { Bucket, Prefix: "names/", EncodingType: "url" })) {
    got.push(...page.Contents.map((o) => decodeURIComponent(o.Key.replaceAll("+", " "))));
  }
  assert.deepEqual(got, want);
  const top = await client.send(new s3.ListObjectsV2Command({ Bucket, Delimiter: "/", Prefix: "names/" }));
  assert.deepEqual(top.CommonPrefixes.map((p) => p.Prefix), ["names/a/", "names/trailing/", "names/日本語/"]);
  const gone = await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects: want.map((Key) => ({ Key })) } }));
  assert.equal(gone.Deleted.length, want.length);
  assert.equal((await client.send(new s3.ListObjectsV2Command({ Bucket, Prefix: "names/" }))).KeyCount, 0);
});

test("metadata and tags", async () => {
  const Metadata = { colour: "dark blue", "mixed-case": "As Is" };
  await put("meta", "x", { ContentType: "text/x-odd", CacheControl: "max-age=60", Metadata, Tagging: "a%20b=c%2Bd" });
  const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: "meta" }));
  assert.deepEqual([head.ContentType, head.CacheControl, head.Metadata], ["text/x-odd", "max-age=60", Metadata]);
  assert.deepEqual((await client.send(new s3.GetObjectTaggingCommand({ Bucket, Key: "meta" }))).TagSet, [{ Key: "a b", Value: "c+d" }]);
});

test("conditional writes", async () => {
  const first = await put("once", "1", { IfNoneMatch: "*" });
  await refused("PreconditionFailed", put("once", "2", { IfNoneMatch: "*" }));
  await put("once", "3", { IfMatch: first.ETag });
  await refused("PreconditionFailed", put("once", "4", { IfMatch: first.ETag }));
  same(await body("once"), Buffer.from("3"));
  await refused("NoSuchKey", get("nothing"));
  await refused("NoSuchBucket", client.send(new s3.ListObjectsV2Command({ Bucket: Bucket + "-no" })));
});

test("presigned URLs", async () => {
  const Key = "signed key";
  const to = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key }), { expiresIn: 60 });
  assert.equal((await fetch(to, { method: "PUT", body: "by url" })).status, 200);
  const from = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key }), { expiresIn: 60 });
  assert.equal(await (await fetch(from)).text(), "by url");
  assert.equal((await fetch(from.replace("signed", "other"))).status, 403);
});

test("versions", async () => {
  await client.send(new s3.CreateBucketCommand({ Bucket: Bucket + "-v" }));
  const at = { Bucket: Bucket + "-v", Key: "k" };
  await client.send(new s3.PutBucketVersioningCommand({ Bucket: at.Bucket, VersioningConfiguration: { Status: "Enabled" } }));
  const ids = [];
  for (const Body of ["1", "2"]) ids.push((await client.send(new s3.PutObjectCommand({ ...at, Body }))).VersionId);
  const gone = await client.send(new s3.DeleteObjectCommand(at));
  assert.equal(gone.DeleteMarker, true);
  for (const [i, VersionId] of ids.entries()) same(await body("k", { ...at, VersionId }), Buffer.from(String(i + 1)));
  const list = await client.send(new s3.ListObjectVersionsCommand({ Bucket: at.Bucket }));
  assert.deepEqual(list.Versions.map((v) => v.VersionId), ids.toReversed());
  assert.deepEqual(list.DeleteMarkers.map((v) => [v.VersionId, v.IsLatest]), [[gone.VersionId, true]]);
});
