package wire

import "github.com/edgefs/edgefs/segment"

// JoinRequest asks to become a member by an invitation.
type JoinRequest struct {
	Secret    []byte
	Request   []byte // PKCS #10 (RFC 2986), DER
	Name      string
	Segment   segment.ID
	Addresses []string // where others reach the new member; none behind a NAT
}

const (
	joinFieldSecret  = 1
	joinFieldRequest = 2
	joinFieldName    = 3
	joinFieldSegment = 4
	joinFieldAddress = 5
)

// Append implements [Message].
func (m *JoinRequest) Append(b []byte) []byte {
	b = PutBytes(b, joinFieldSecret, m.Secret)
	b = PutBytes(b, joinFieldRequest, m.Request)
	b = PutBytes(b, joinFieldName, m.Name)
	b = PutFixed(b, joinFieldSegment, uint64(m.Segment))
	for _, a := range m.Addresses {
		b = PutBytes(b, joinFieldAddress, a)
	}
	return b
}

// Parse implements [Message].
func (m *JoinRequest) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case joinFieldSecret:
			m.Secret = f.Bytes
		case joinFieldRequest:
			m.Request = f.Bytes
		case joinFieldName:
			m.Name = string(f.Bytes)
		case joinFieldSegment:
			m.Segment = segment.ID(f.Uint)
		case joinFieldAddress:
			m.Addresses = append(m.Addresses, string(f.Bytes))
		}
		return nil
	})
}

// JoinReply makes a member, or says why not.
type JoinReply struct {
	Refused     uint64 // a code, 0 when admitted
	Why         string
	Certificate []byte // DER
	Authority   []byte // DER
	Secret      []byte // the federation's
}

const (
	joinedFieldRefused     = 1
	joinedFieldWhy         = 2
	joinedFieldCertificate = 3
	joinedFieldAuthority   = 4
	joinedFieldSecret      = 5
)

// Append implements [Message].
func (m *JoinReply) Append(b []byte) []byte {
	b = PutUint(b, joinedFieldRefused, m.Refused)
	b = PutBytes(b, joinedFieldWhy, m.Why)
	b = PutBytes(b, joinedFieldCertificate, m.Certificate)
	b = PutBytes(b, joinedFieldAuthority, m.Authority)
	return PutBytes(b, joinedFieldSecret, m.Secret)
}

// Parse implements [Message].
func (m *JoinReply) Parse(b []byte) error {
	return Fields(b, func(f Field) error {
		switch f.Num {
		case joinedFieldRefused:
			m.Refused = f.Uint
		case joinedFieldWhy:
			m.Why = string(f.Bytes)
		case joinedFieldCertificate:
			m.Certificate = f.Bytes
		case joinedFieldAuthority:
			m.Authority = f.Bytes
		case joinedFieldSecret:
			m.Secret = f.Bytes
		}
		return nil
	})
}
