// Package chunktest is the contract of [chunk.Store] as tests, for every store and every wrapper.
package chunktest
