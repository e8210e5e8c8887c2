"""Files in and out: probing, decoding, pairing, encoding, data sets and the rendered sample."""
