package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/edgefs/edgefs/segment"
)

// code is an S3 error as clients switch on it, with the status and the message it comes with. It is an error itself.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
type code struct {
	name   string
	status int
	text   string
}

func (c code) Error() string { return c.name + ": " + c.text }

// say is the same code with a message for the case at hand.
func (c code) say(format string, args ...any) *fault {
	c.text = fmt.Sprintf(format, args...)
	return &fault{code: c}
}

// with is the same code with another element in its document.
func (c code) with(name, value string) *fault { return (&fault{code: c}).with(name, value) }

// fault is a failure as the client sees it.
type fault struct {
	code
	detail []attribute // further elements of the document
	header []attribute // further headers of the answer
	cause  error       // for the log; never sent
}

type attribute struct{ name, value string }

func (f *fault) Unwrap() error { return f.cause }

func (f *fault) with(name, value string) *fault {
	f.detail = append(f.detail, attribute{name, value})
	return f
}

func (f *fault) withHeader(name, value string) *fault {
	f.header = append(f.header, attribute{name, value})
	return f
}

var (
	errAccessDenied         = code{"AccessDenied", http.StatusForbidden, "Access Denied."}
	errAccessForbidden      = code{"AccessForbidden", http.StatusForbidden, "CORSResponse: CORS is not enabled for this bucket."}
	errACLNotSupported      = code{"AccessControlListNotSupported", http.StatusBadRequest, "The bucket does not allow ACLs."}
	errAuthHeader           = code{"AuthorizationHeaderMalformed", http.StatusBadRequest, "The authorization header that you provided is not valid."}
	errAuthQuery            = code{"AuthorizationQueryParametersError", http.StatusBadRequest, "The authorization query parameters that you provided are not valid."}
	errBadDigest            = code{"BadDigest", http.StatusBadRequest, "The Content-MD5 or checksum value that you specified did not match what the server received."}
	errBucketExists         = code{"BucketAlreadyOwnedByYou", http.StatusConflict, "Your previous request to create the named bucket succeeded and you already own it."}
	errBucketNotEmpty       = code{"BucketNotEmpty", http.StatusConflict, "The bucket you tried to delete is not empty. You must delete all versions in the bucket."}
	errEntityTooLarge       = code{"EntityTooLarge", http.StatusBadRequest, "Your proposed upload exceeds the maximum allowed size."}
	errEntityTooSmall       = code{"EntityTooSmall", http.StatusBadRequest, "Your proposed upload is smaller than the minimum allowed size."}
	errIncompleteBody       = code{"IncompleteBody", http.StatusBadRequest, "You did not provide the number of bytes specified by the Content-Length HTTP header."}
	errInternal             = code{"InternalError", http.StatusInternalServerError, "We encountered an internal error. Please try again."}
	errInvalidAccessKey     = code{"InvalidAccessKeyId", http.StatusForbidden, "The AWS Access Key Id you provided does not exist in our records."}
	errInvalidArgument      = code{"InvalidArgument", http.StatusBadRequest, "Invalid Argument."}
	errInvalidBucketName    = code{"InvalidBucketName", http.StatusBadRequest, "The specified bucket is not valid."}
	errInvalidBucketState   = code{"InvalidBucketState", http.StatusConflict, "The request is not valid with the current state of the bucket."}
	errInvalidDigest        = code{"InvalidDigest", http.StatusBadRequest, "The Content-MD5 you specified is not valid."}
	errInvalidPart          = code{"InvalidPart", http.StatusBadRequest, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."}
	errInvalidPartNumber    = code{"InvalidPartNumber", http.StatusRequestedRangeNotSatisfiable, "The requested partnumber is not satisfiable."}
	errInvalidPartOrder     = code{"InvalidPartOrder", http.StatusBadRequest, "The list of parts was not in ascending order. Parts must be ordered by part number."}
	errInvalidRange         = code{"InvalidRange", http.StatusRequestedRangeNotSatisfiable, "The requested range is not satisfiable."}
	errInvalidRequest       = code{"InvalidRequest", http.StatusBadRequest, "Invalid Request."}
	errInvalidStorageClass  = code{"InvalidStorageClass", http.StatusBadRequest, "The storage class you specified is not valid."}
	errInvalidTag           = code{"InvalidTag", http.StatusBadRequest, "The tag provided was not a valid tag."}
	errInvalidToken         = code{"InvalidToken", http.StatusBadRequest, "The provided token is malformed or otherwise not valid."}
	errInvalidURI           = code{"InvalidURI", http.StatusBadRequest, "The specified URI couldn't be parsed."}
	errKeyTooLong           = code{"KeyTooLongError", http.StatusBadRequest, "Your key is too long."}
	errMalformedTrailer     = code{"MalformedTrailerError", http.StatusBadRequest, "The request contained trailing data that was not well-formed or did not conform to our published schema."}
	errMalformedXML         = code{"MalformedXML", http.StatusBadRequest, "The XML you provided was not well-formed or did not validate against our published schema."}
	errMaxMessageLength     = code{"MaxMessageLengthExceeded", http.StatusBadRequest, "Your request was too big."}
	errMetadataTooLarge     = code{"MetadataTooLarge", http.StatusBadRequest, "Your metadata headers exceed the maximum allowed metadata size."}
	errMethodNotAllowed     = code{"MethodNotAllowed", http.StatusMethodNotAllowed, "The specified method is not allowed against this resource."}
	errMissingContentLength = code{"MissingContentLength", http.StatusLengthRequired, "You must provide the Content-Length HTTP header."}
	errNoSuchBucket         = code{"NoSuchBucket", http.StatusNotFound, "The specified bucket does not exist."}
	errNoSuchKey            = code{"NoSuchKey", http.StatusNotFound, "The specified key does not exist."}
	errNoSuchUpload         = code{"NoSuchUpload", http.StatusNotFound, "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed."}
	errNoSuchVersion        = code{"NoSuchVersion", http.StatusNotFound, "The specified version does not exist."}
	errNotImplemented       = code{"NotImplemented", http.StatusNotImplemented, "A header or query you provided implies functionality that is not implemented."}
	errPreconditionFailed   = code{"PreconditionFailed", http.StatusPreconditionFailed, "At least one of the pre-conditions you specified did not hold"}
	errRequestTimeout       = code{"RequestTimeout", http.StatusBadRequest, "Your socket connection to the server was not read from or written to within the timeout period."}
	errRequestTimeTooSkewed = code{"RequestTimeTooSkewed", http.StatusForbidden, "The difference between the request time and the server's time is too large."}
	errStorageFull          = code{"InsufficientStorage", http.StatusInsufficientStorage, "There is no space left for this content."}
	errServiceUnavailable   = code{"ServiceUnavailable", http.StatusServiceUnavailable, "Please reduce your request rate or try again later."}
	errSHA256Mismatch       = code{"XAmzContentSHA256Mismatch", http.StatusBadRequest, "The provided 'x-amz-content-sha256' header does not match what was computed."}
	errSignature            = code{"SignatureDoesNotMatch", http.StatusForbidden, "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	errSlowDown             = code{"SlowDown", http.StatusServiceUnavailable, "Please reduce your request rate."}

	// The answers to reading a configuration that was never made.
	errNoCORS           = code{"NoSuchCORSConfiguration", http.StatusNotFound, "The CORS configuration does not exist."}
	errNoEncryption     = code{"ServerSideEncryptionConfigurationNotFoundError", http.StatusNotFound, "The server side encryption configuration was not found."}
	errNoLifecycle      = code{"NoSuchLifecycleConfiguration", http.StatusNotFound, "The lifecycle configuration does not exist."}
	errNoObjectLock     = code{"ObjectLockConfigurationNotFoundError", http.StatusNotFound, "Object Lock configuration does not exist for this bucket."}
	errNoObjectLockOn   = code{"NoSuchObjectLockConfiguration", http.StatusNotFound, "The specified object does not have a ObjectLock configuration."}
	errNoOwnership      = code{"OwnershipControlsNotFoundError", http.StatusNotFound, "The bucket ownership controls were not found."}
	errNoPolicy         = code{"NoSuchBucketPolicy", http.StatusNotFound, "The bucket policy does not exist."}
	errNoPublicAccess   = code{"NoSuchPublicAccessBlockConfiguration", http.StatusNotFound, "The public access block configuration was not found."}
	errNoReplication    = code{"ReplicationConfigurationNotFoundError", http.StatusNotFound, "The replication configuration was not found."}
	errNoTagSet         = code{"NoSuchTagSet", http.StatusNotFound, "The TagSet does not exist."}
	errNoWebsite        = code{"NoSuchWebsiteConfiguration", http.StatusNotFound, "The specified bucket does not have a website configuration."}
	errNoSuchConfig     = code{"NoSuchConfiguration", http.StatusNotFound, "The specified configuration does not exist."}
	errNotModified      = code{"NotModified", http.StatusNotModified, ""}
	errClientGone       = code{"ClientClosedRequest", 499, "The client went away."}
	errContentSHAHeader = code{"InvalidArgument", http.StatusBadRequest, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."}
)

// retryAfter is what a client that finds the segment unavailable is told to wait, in seconds.
const retryAfter = "1"

// faultOf is how an error reads to a client. What cannot be asked now is 503, never 404: a client would take absence for the truth.
func faultOf(err error) *fault {
	if f := (*fault)(nil); errors.As(err, &f) {
		return f
	}
	if c := (code{}); errors.As(err, &c) {
		return &fault{code: c}
	}
	switch {
	case errors.Is(err, segment.ErrNoSuchKey):
		return &fault{code: errNoSuchKey, cause: err}
	case errors.Is(err, segment.ErrNoSuchVersion):
		return &fault{code: errNoSuchVersion, cause: err}
	case errors.Is(err, segment.ErrNoSuchBucket):
		return &fault{code: errNoSuchBucket, cause: err}
	case errors.Is(err, segment.ErrNoSuchSnapshot):
		f := errNoSuchBucket.say("The specified snapshot does not exist.")
		if n := (*segment.NotRememberedError)(nil); errors.As(err, &n) {
			f = errNoSuchBucket.say("No state of the bucket is known here as of that time: %v.", n)
		}
		f.cause = err
		return f
	case errors.Is(err, segment.ErrReadOnly):
		f := errMethodNotAllowed.say("A snapshot cannot be changed.")
		f.cause = err
		return f
	case errors.Is(err, segment.ErrNoLocks):
		f := noObjectLock()
		f.cause = err
		return f
	case errors.Is(err, segment.ErrLocked):
		f := errAccessDenied.say("Access Denied because object protected by object lock.")
		f.cause = err
		return f
	case errors.Is(err, segment.ErrNoSuchUpload):
		return &fault{code: errNoSuchUpload, cause: err}
	case errors.Is(err, segment.ErrPrecondition):
		return &fault{code: errPreconditionFailed, cause: err}
	case errors.Is(err, segment.ErrBucketExists):
		return &fault{code: errBucketExists, cause: err}
	case errors.Is(err, segment.ErrBucketNotEmpty):
		return &fault{code: errBucketNotEmpty, cause: err}
	case errors.Is(err, segment.ErrInvalidPart):
		return &fault{code: errInvalidPart, cause: err}
	case errors.Is(err, segment.ErrInvalidName):
		return &fault{code: errInvalidArgument, cause: err}
	case errors.Is(err, segment.ErrInvalidArgument):
		return &fault{code: errInvalidArgument, cause: err}
	case errors.Is(err, segment.ErrNotHome) && !errors.Is(err, segment.ErrUnavailable):
		f := errInvalidBucketState.say("%v", err)
		f.cause = err
		return f
	case errors.Is(err, context.Canceled):
		return &fault{code: errClientGone, cause: err}
	case errors.Is(err, segment.ErrFull):
		return &fault{code: errStorageFull, cause: err}
	case errors.Is(err, segment.ErrNotCopied):
		f := errServiceUnavailable.say("The write is durable at this segment, but no second segment confirmed it in time, as the bucket asks for. It may show. Repeat it.")
		f.cause = err
		return f.withHeader("Retry-After", retryAfter)
	case errors.Is(err, segment.ErrHomeAway):
		f := errServiceUnavailable.say("%v. Repeat the request.", err)
		f.cause = err
		return f.withHeader("Retry-After", retryAfter)
	case unavailable(err):
		return (&fault{code: errServiceUnavailable, cause: err}).withHeader("Retry-After", retryAfter)
	}
	return &fault{code: errInternal, cause: err}
}

// unreadable is how a failure to read stored content is told: what is listed exists, so that its bytes cannot be had, or cannot be trusted,
// now is 503 whatever the reason. A peer or a repair may bring them back.
func unreadable(err error) error {
	if f := faultOf(err); f.name != errInternal.name {
		return f
	}
	return (&fault{code: errServiceUnavailable, cause: err}).withHeader("Retry-After", retryAfter)
}

// unavailable says whether an error may pass by itself, or when a peer or a copy comes back.
func unavailable(err error) bool {
	return errors.Is(err, segment.ErrUnavailable) || errors.Is(err, segment.ErrChunkUnavailable) || errors.Is(err, segment.ErrCorrupt) || errors.Is(err, segment.ErrClosed) || errors.Is(err, context.DeadlineExceeded)
}
