package s3

import (
	"net/http"
)

// operation is one of S3's, by S3's name.
type operation struct {
	name  string
	serve func(*call) error
}

// routes finds the operation that a method and a sub-resource ("?acl") ask for. It is made once and only read.
type routes struct {
	service, bucket, object map[string]operation // by method, and "?" and sub-resource if there is one
	known                   map[string]bool      // the sub-resources
}

func newRoutes() routes {
	r := routes{
		service: map[string]operation{
			"GET": {"ListBuckets", (*call).listBuckets},
		},
		bucket: map[string]operation{
			"HEAD":           {"HeadBucket", (*call).headBucket},
			"PUT":            {"CreateBucket", (*call).createBucket},
			"DELETE":         {"DeleteBucket", (*call).deleteBucket},
			"GET":            {"ListObjects", heavy((*call).listObjects)},
			"GET?list-type":  {"ListObjectsV2", heavy((*call).listObjectsV2)},
			"GET?versions":   {"ListObjectVersions", heavy((*call).listVersions)},
			"GET?uploads":    {"ListMultipartUploads", heavy((*call).listUploads)},
			"GET?location":   {"GetBucketLocation", (*call).getLocation},
			"GET?versioning": {"GetBucketVersioning", (*call).getVersioning},
			"PUT?versioning": {"PutBucketVersioning", (*call).putVersioning},
			"POST?delete":    {"DeleteObjects", heavy((*call).deleteObjects)},
		},
		object: map[string]operation{
			"HEAD":            {"HeadObject", (*call).getObject},
			"GET":             {"GetObject", (*call).getObject},
			"PUT":             {"PutObject", (*call).putObject},
			"DELETE":          {"DeleteObject", (*call).deleteObject},
			"GET?attributes":  {"GetObjectAttributes", (*call).getAttributes},
			"GET?tagging":     {"GetObjectTagging", (*call).getTagging},
			"PUT?tagging":     {"PutObjectTagging", (*call).putTagging},
			"DELETE?tagging":  {"DeleteObjectTagging", (*call).deleteTagging},
			"GET?acl":         {"GetObjectAcl", (*call).getObjectACL},
			"PUT?acl":         {"PutObjectAcl", (*call).putACL},
			"POST?uploads":    {"CreateMultipartUpload", (*call).createUpload},
			"PUT?uploadId":    {"UploadPart", (*call).uploadPart},
			"GET?uploadId":    {"ListParts", heavy((*call).listParts)},
			"POST?uploadId":   {"CompleteMultipartUpload", heavy((*call).completeUpload)},
			"DELETE?uploadId": {"AbortMultipartUpload", (*call).abortUpload},
			"GET?retention":   {"GetObjectRetention", (*call).getRetention},
			"PUT?retention":   {"PutObjectRetention", (*call).putRetention},
			"GET?legal-hold":  {"GetObjectLegalHold", (*call).getLegalHold},
			"PUT?legal-hold":  {"PutObjectLegalHold", (*call).putLegalHold},
			"POST?restore":    {"RestoreObject", unsupported("RestoreObject")},
			"POST?select":     {"SelectObjectContent", unsupported("SelectObjectContent")},
			"GET?torrent":     {"GetObjectTorrent", unsupported("GetObjectTorrent")},
			"PUT?append":      {"AppendObject", unsupported("AppendObject")},
			// What is not known would fall through to PutObject and bury what is there.
			"PUT?renameObject": {"RenameObject", unsupported("RenameObject")},
			"PUT?encryption":   {"UpdateObjectEncryption", unsupported("UpdateObjectEncryption")},
		},
		known: map[string]bool{},
	}
	addConfigurations(r.bucket)
	for _, m := range []map[string]operation{r.bucket, r.object} {
		for k := range m {
			if _, sub, ok := cutSub(k); ok {
				r.known[sub] = true
			}
		}
	}
	return r
}

func cutSub(route string) (method, sub string, ok bool) {
	for i := range len(route) {
		if route[i] == '?' {
			return route[:i], route[i+1:], true
		}
	}
	return route, "", false
}

// find is the operation asked for.
func (r *routes) find(method, bucket, key string, q query) (operation, error) {
	table := r.object
	switch {
	case bucket == "":
		table = r.service
	case key == "":
		table = r.bucket
	}
	route := method
	for _, p := range q {
		if r.known[p.name] {
			route = method + "?" + p.name
			break
		}
	}
	op, ok := table[route]
	if !ok {
		return operation{}, errMethodNotAllowed
	}
	return op, nil
}

// heavy serves an operation that holds a large document while there is room.
func heavy(serve func(*call) error) func(*call) error {
	return func(c *call) error {
		if err := c.heavy.enter(c.r.Context()); err != nil {
			return err
		}
		defer c.heavy.leave(1)
		return serve(c)
	}
}

// unsupported refuses an operation by its name.
func unsupported(what string) func(*call) error {
	return func(*call) error { return errNotImplemented.say("%s is not supported.", what) }
}

// absent answers that something was never made, in a bucket that exists.
func absent(c code) func(*call) error {
	return func(call *call) error {
		if _, err := call.segment.Bucket(call.bucket); err != nil {
			return err
		}
		return c
	}
}

// constant answers with a document that does not depend on anything but that the bucket exists.
func constant(root, inner string) func(*call) error {
	var d document
	d.begin(root)
	d.b = append(d.b, inner...)
	d.close(root)
	return func(c *call) error {
		if _, err := c.segment.Bucket(c.bucket); err != nil {
			return err
		}
		c.send(http.StatusOK, d.b)
		return nil
	}
}
