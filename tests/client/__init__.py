"""Tests of the client's ground floor: settings, transport, retries, paging, against real loopback servers."""
