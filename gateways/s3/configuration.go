package s3

import "net/http"

// configuration is a part of a bucket's configuration that S3 knows and we do not: reading it answers that it was never made (or what is
// true without it), deleting it succeeds, making it is refused by name.
type configuration struct {
	sub  string // the sub-resource: ?policy
	name string // in the names of its operations: GetBucketPolicy
	read func(*call) error
}

func configurations() []configuration {
	return []configuration{
		{"policy", "BucketPolicy", absent(errNoPolicy)},
		{"policyStatus", "BucketPolicyStatus", absent(errNoPolicy)},
		{"cors", "BucketCors", absent(errNoCORS)},
		{"lifecycle", "BucketLifecycleConfiguration", absent(errNoLifecycle)},
		{"encryption", "BucketEncryption", absent(errNoEncryption)},
		{"tagging", "BucketTagging", absent(errNoTagSet)},
		{"website", "BucketWebsite", absent(errNoWebsite)},
		{"replication", "BucketReplication", absent(errNoReplication)},
		{"ownershipControls", "BucketOwnershipControls", absent(errNoOwnership)},
		{"publicAccessBlock", "PublicAccessBlock", absent(errNoPublicAccess)},
		{"analytics", "BucketAnalyticsConfiguration", absent(errNoSuchConfig)},
		{"inventory", "BucketInventoryConfiguration", absent(errNoSuchConfig)},
		{"metrics", "BucketMetricsConfiguration", absent(errNoSuchConfig)},
		{"intelligent-tiering", "BucketIntelligentTieringConfiguration", absent(errNoSuchConfig)},
		{"metadataConfiguration", "BucketMetadataConfiguration", absent(errNoSuchConfig)},
		{"metadataTable", "BucketMetadataTableConfiguration", absent(errNoSuchConfig)},
		{"requestPayment", "BucketRequestPayment", constant("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>")},
		{"logging", "BucketLogging", constant("BucketLoggingStatus", "")},
		{"accelerate", "BucketAccelerateConfiguration", constant("AccelerateConfiguration", "")},
		{"notification", "BucketNotificationConfiguration", constant("NotificationConfiguration", "")},
	}
}

// addConfigurations adds the operations of all configurations to those of a bucket.
func addConfigurations(bucket map[string]operation) {
	for _, c := range configurations() {
		bucket["GET?"+c.sub] = operation{"Get" + c.name, c.read}
		bucket["PUT?"+c.sub] = operation{"Put" + c.name, unsupported("Put" + c.name)}
		bucket["DELETE?"+c.sub] = operation{"Delete" + c.name, (*call).deleteConfiguration}
	}
	bucket["GET?object-lock"] = operation{"GetObjectLockConfiguration", (*call).getLockConfiguration}
	bucket["PUT?object-lock"] = operation{"PutObjectLockConfiguration", (*call).putLockConfiguration}
	bucket["GET?acl"] = operation{"GetBucketAcl", (*call).getBucketACL}
	bucket["PUT?acl"] = operation{"PutBucketAcl", (*call).putACL}
	bucket["GET?session"] = operation{"CreateSession", unsupported("CreateSession (directory buckets)")}
}

// deleteConfiguration deletes what is not there.
func (c *call) deleteConfiguration() error {
	if _, err := c.segment.Bucket(c.bucket); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
