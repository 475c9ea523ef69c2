"""Small decoders of our own: LSTM, CNN and Transformer, trained from nothing."""
