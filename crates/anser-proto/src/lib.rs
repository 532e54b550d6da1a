//! The client protocol: frames, their JSON form, codec, versions and the error catalogue.
