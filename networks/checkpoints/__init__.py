"""Published weights in: files of other projects, mapped tensor by tensor onto our networks, whole or not at all."""
