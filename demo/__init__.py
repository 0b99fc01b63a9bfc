"""The demonstration: real servers, real retail data, documented damage."""
