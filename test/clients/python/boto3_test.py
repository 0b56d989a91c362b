"""boto3 as its users have it: the resource, the client, and the transfer manager, at the defaults. Run by the Go tests beside this folder."""

import base64
import hashlib
import io
import os
import random
import time
import unittest
import urllib.error
import urllib.request
import uuid

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

LARGE = (17 << 20) + 4321
BUCKET = "boto3-" + uuid.uuid4().hex[:12]
ODD_NAMES = [
    "plain", "with space", " first", "last ", "plus+and&ampersand", "percent%20%2F%zz", "hash#mark", "question?a=b", "quote'\"", "ünïcödé", "e\u0301", "\u00e9",
    "日本語/ファイル", "emoji 😀", "a//b", "/leading", "trailing/", "dot/./dot", "dot/../dot", "tab\there", "newline\nhere", "return\rhere", "<&>]]>", "~!*'()",
]
CONTROL = "\x01control"  # no document can name it: it is listed as URL-encoded, and not to be deleted with others


def connect(prefix, **more):
    env = lambda name: os.environ[prefix + name]
    return boto3.session.Session(
        aws_access_key_id=env("ACCESS_KEY_ID"), aws_secret_access_key=env("SECRET_ACCESS_KEY"), region_name=env("REGION")
    ).client("s3", endpoint_url=env("ENDPOINT_URL"), **more)


def content(n, seed=0):
    return random.Random(seed).randbytes(n)


def setUpModule():
    connect("AWS_").create_bucket(Bucket=BUCKET)


class Case(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        self.s3 = connect("AWS_")

    def tearDown(self):
        self.s3.close()

    def body(self, key, **more):
        return self.s3.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()

    def refused(self, code, call, **args):
        with self.assertRaises(ClientError) as caught:
            call(**args)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)


class Objects(Case):
    def test_small_sizes(self):
        for n in 0, 1, 4096, 32768, 32769, 1_000_007:
            want = content(n, n)
            put = self.s3.put_object(Bucket=BUCKET, Key=f"size {n}", Body=want)
            self.assertEqual(put["ETag"], '"%s"' % hashlib.md5(want).hexdigest())
            self.assertEqual(self.body(f"size {n}"), want)

    def test_odd_names_are_kept_and_listed(self):
        for name in ODD_NAMES + [CONTROL]:
            self.s3.put_object(Bucket=BUCKET, Key="odd/" + name, Body=name.encode())
        want = sorted(("odd/" + name for name in ODD_NAMES + [CONTROL]), key=str.encode)
        for op, field in ("list_objects_v2", "Contents"), ("list_objects", "Contents"), ("list_object_versions", "Versions"):
            pages = self.s3.get_paginator(op).paginate(Bucket=BUCKET, Prefix="odd/", PaginationConfig={"PageSize": 7})
            self.assertEqual([o["Key"] for page in pages for o in page.get(field, [])], want, op)
        for name in ODD_NAMES:
            self.assertEqual(self.body("odd/" + name), name.encode())
            self.s3.copy_object(Bucket=BUCKET, Key="odd copy/" + name, CopySource={"Bucket": BUCKET, "Key": "odd/" + name})
            self.assertEqual(self.body("odd copy/" + name), name.encode())
        self.s3.delete_object(Bucket=BUCKET, Key="odd/" + CONTROL)
        for prefix in "odd/", "odd copy/":
            gone = self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": prefix + name} for name in ODD_NAMES]})
            self.assertEqual((sorted(d["Key"] for d in gone["Deleted"]), gone.get("Errors")), (sorted(prefix + name for name in ODD_NAMES), None))
            self.assertEqual(self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"], 0)

    def test_metadata_and_headers(self):
        sent = {
            "ContentType": "text/x-odd; charset=utf-8", "CacheControl": "max-age=60", "ContentDisposition": 'attachment; filename="x y"', "ContentEncoding": "gzip",
            "ContentLanguage": "mi, en", "Metadata": {"colour": "dark blue", "mixed-case": "As Is", "empty": ""},
        }
        self.s3.put_object(Bucket=BUCKET, Key="meta", Body=b"x", Tagging="a%20b=c%2Bd&e=", **sent)
        head = self.s3.head_object(Bucket=BUCKET, Key="meta")
        self.assertEqual({k: head.get(k) for k in sent}, sent)
        self.assertEqual(self.s3.get_object_tagging(Bucket=BUCKET, Key="meta")["TagSet"], [{"Key": "a b", "Value": "c+d"}, {"Key": "e", "Value": ""}])
        over = self.s3.get_object(Bucket=BUCKET, Key="meta", ResponseContentType="a/b", ResponseCacheControl="no-store")
        self.assertEqual((over["ContentType"], over["CacheControl"]), ("a/b", "no-store"))
        self.s3.copy_object(Bucket=BUCKET, Key="meta 2", CopySource=f"{BUCKET}/meta")
        copied = self.s3.head_object(Bucket=BUCKET, Key="meta 2")
        self.assertEqual({k: copied.get(k) for k in sent}, sent)
        self.s3.copy_object(Bucket=BUCKET, Key="meta", CopySource=f"{BUCKET}/meta", MetadataDirective="REPLACE", Metadata={"n": "1"}, ContentType="t/t")
        head = self.s3.head_object(Bucket=BUCKET, Key="meta")
        self.assertEqual((head["Metadata"], head["ContentType"], head.get("CacheControl")), ({"n": "1"}, "t/t", None))

    def test_ranges(self):
        want = content(100_000)
        self.s3.put_object(Bucket=BUCKET, Key="range", Body=want)
        for text, part in ("0-0", want[:1]), ("65530-65545", want[65530:65546]), ("99999-", want[-1:]), ("-10", want[-10:]), ("50000-999999", want[50000:]):
            got = self.s3.get_object(Bucket=BUCKET, Key="range", Range="bytes=" + text)
            self.assertEqual((got["Body"].read() == part, got["ContentLength"]), (True, len(part)), text)
        self.refused("InvalidRange", self.s3.get_object, Bucket=BUCKET, Key="range", Range="bytes=100000-")

    def test_conditions(self):
        etag = self.s3.put_object(Bucket=BUCKET, Key="cond", Body=b"1")["ETag"]
        self.refused("PreconditionFailed", self.s3.get_object, Bucket=BUCKET, Key="cond", IfMatch='"no"')
        self.refused("304", self.s3.get_object, Bucket=BUCKET, Key="cond", IfNoneMatch=etag)
        self.assertEqual(self.body("cond", IfMatch=etag), b"1")

    def test_conditional_put(self):
        condition = {}

        # Debian's boto3 is older than conditional writes: the header is put in as its users do.
        def add(params, **_):
            params["headers"].update(condition)

        self.s3.meta.events.register("before-call.s3.PutObject", add)
        put = lambda body: self.s3.put_object(Bucket=BUCKET, Key="once", Body=body)
        condition["If-None-Match"] = "*"
        etag = put(b"1")["ETag"]
        self.refused("PreconditionFailed", put, body=b"2")
        condition.clear()
        condition["If-Match"] = etag
        put(b"3")
        self.refused("PreconditionFailed", put, body=b"4")
        self.assertEqual(self.body("once"), b"3")

    def test_presigned(self):
        # boto3 signs URLs by version 2 in us-east-1 unless it is told.
        s3 = connect("AWS_", config=Config(signature_version="s3v4"))
        self.addCleanup(s3.close)
        url = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "signed key"}, ExpiresIn=60)
        with urllib.request.urlopen(urllib.request.Request(url, data=b"by url", method="PUT", headers={"Content-Type": ""})) as res:
            self.assertEqual(res.status, 200)
        url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "signed key", "ResponseContentType": "a/b"}, ExpiresIn=60)
        with urllib.request.urlopen(url) as res:
            self.assertEqual((res.read(), res.headers["Content-Type"]), (b"by url", "a/b"))
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url.replace("signed", "other"))
        self.assertEqual(caught.exception.code, 403)
        caught.exception.close()

    def test_refusals(self):
        self.refused("NoSuchKey", self.s3.get_object, Bucket=BUCKET, Key="nothing")
        self.refused("404", self.s3.head_object, Bucket=BUCKET, Key="nothing")
        self.refused("NoSuchBucket", self.s3.list_objects_v2, Bucket=BUCKET + "-no")
        self.refused("BucketAlreadyOwnedByYou", self.s3.create_bucket, Bucket=BUCKET)
        self.refused("InvalidBucketName", self.s3.create_bucket, Bucket="No_Such_Name")
        self.refused("NoSuchCORSConfiguration", self.s3.get_bucket_cors, Bucket=BUCKET)
        self.refused("NoSuchBucketPolicy", self.s3.get_bucket_policy, Bucket=BUCKET)
        self.refused("NoSuchLifecycleConfiguration", self.s3.get_bucket_lifecycle_configuration, Bucket=BUCKET)


class Checksums(Case):
    def test_each_algorithm(self):
        want = content(70_000)
        for algorithm in "CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME":
            try:
                put = self.s3.put_object(Bucket=BUCKET, Key="sum", Body=io.BytesIO(want), ChecksumAlgorithm=algorithm)
            except Exception as e:  # needs the awscrt package
                if type(e).__name__ not in ("MissingDependencyException", "FlexibleChecksumError", "ParamValidationError"):
                    raise
                continue
            got = self.s3.get_object(Bucket=BUCKET, Key="sum", ChecksumMode="ENABLED")
            self.assertEqual(put["Checksum" + algorithm], got["Checksum" + algorithm])
            self.assertEqual(got["Body"].read(), want)
            attrs = self.s3.get_object_attributes(Bucket=BUCKET, Key="sum", ObjectAttributes=["Checksum", "ObjectSize"])
            self.assertEqual((attrs["Checksum"]["Checksum" + algorithm], attrs["ObjectSize"]), (put["Checksum" + algorithm], 70_000))

    def test_a_wrong_one_is_refused_and_leaves_nothing(self):
        s3 = connect("AWS_", config=Config(retries={"total_max_attempts": 1}))  # boto3 tries again, a few seconds apart
        self.addCleanup(s3.close)
        wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
        self.refused("BadDigest", s3.put_object, Bucket=BUCKET, Key="wrong", Body=b"this", ChecksumSHA256=wrong)
        md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        self.refused("BadDigest", s3.put_object, Bucket=BUCKET, Key="wrong", Body=b"this", ContentMD5=md5)
        self.refused("NoSuchKey", self.s3.get_object, Bucket=BUCKET, Key="wrong")


class Transfers(Case):
    def test_large_up_and_down(self):
        want = content(LARGE)
        self.s3.upload_fileobj(io.BytesIO(want), BUCKET, "large", ExtraArgs={"ContentType": "x/y", "Metadata": {"m": "1"}})
        head = self.s3.head_object(Bucket=BUCKET, Key="large")
        self.assertEqual((head["ContentLength"], head["ContentType"], head["Metadata"]), (LARGE, "x/y", {"m": "1"}))
        self.assertTrue(head["ETag"].endswith('-3"'), head["ETag"])
        got = io.BytesIO()
        self.s3.download_fileobj(BUCKET, "large", got)  # parallel ranges
        self.assertEqual(got.getvalue() == want, True)
        self.s3.copy({"Bucket": BUCKET, "Key": "large"}, BUCKET, "large copy", Config=TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=6 << 20))
        self.assertEqual(self.body("large copy") == want, True)
        self.assertEqual(self.body("large", PartNumber=2) == want[8 << 20 : 16 << 20], True)

        peer = connect("PEER_")
        deadline = time.monotonic() + 30
        while "Contents" not in peer.list_objects_v2(Bucket=BUCKET, Prefix="large copy"):
            self.assertLess(time.monotonic(), deadline)
        got = io.BytesIO()
        peer.download_fileobj(BUCKET, "large copy", got)
        self.assertEqual(got.getvalue() == want, True)
        peer.close()

    def test_parts_with_checksums(self):
        part = content(5 << 20)
        up = self.s3.create_multipart_upload(Bucket=BUCKET, Key="parts", ChecksumAlgorithm="SHA256")
        ids = {"Bucket": BUCKET, "Key": "parts", "UploadId": up["UploadId"]}
        parts = []
        for n, body in (1, part), (4, b"end"):
            done = self.s3.upload_part(PartNumber=n, Body=body, ChecksumAlgorithm="SHA256", **ids)
            parts.append({"PartNumber": n, "ETag": done["ETag"], "ChecksumSHA256": done["ChecksumSHA256"]})
        self.assertEqual([p["PartNumber"] for p in self.s3.list_parts(**ids)["Parts"]], [1, 4])
        done = self.s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **ids)
        sums = b"".join(hashlib.sha256(b).digest() for b in (part, b"end"))
        self.assertEqual(done["ChecksumSHA256"], base64.b64encode(hashlib.sha256(sums).digest()).decode() + "-2")
        self.assertEqual(self.body("parts") == part + b"end", True)
        self.refused("NoSuchUpload", self.s3.list_parts, **ids)


class Versions(Case):
    def test_versions(self):
        b = BUCKET + "-v"
        self.s3.create_bucket(Bucket=b)
        self.assertIsNone(self.s3.get_bucket_versioning(Bucket=b).get("Status"))
        null = self.s3.put_object(Bucket=b, Key="k", Body=b"null").get("VersionId")
        self.s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
        ids = [self.s3.put_object(Bucket=b, Key="k", Body=bytes([i]))["VersionId"] for i in range(3)]
        marker = self.s3.delete_object(Bucket=b, Key="k")
        self.assertTrue(marker["DeleteMarker"])
        self.refused("NoSuchKey", self.s3.get_object, Bucket=b, Key="k")
        for i, id in enumerate(ids):
            self.assertEqual(self.s3.get_object(Bucket=b, Key="k", VersionId=id)["Body"].read(), bytes([i]))
        self.assertIsNone(null)
        self.assertEqual(self.s3.get_object(Bucket=b, Key="k", VersionId="null")["Body"].read(), b"null")
        bucket = boto3.resource("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).Bucket(b)
        self.assertEqual([v.id for v in bucket.object_versions.all()], ids[::-1] + ["null", marker["VersionId"]])  # markers are listed apart
        self.s3.delete_object(Bucket=b, Key="k", VersionId=marker["VersionId"])
        self.assertEqual(self.s3.get_object(Bucket=b, Key="k")["Body"].read(), b"\x02")
        self.refused("BucketNotEmpty", self.s3.delete_bucket, Bucket=b)
        bucket.object_versions.delete()
        bucket.delete()


if __name__ == "__main__":
    unittest.main(warnings="ignore")
