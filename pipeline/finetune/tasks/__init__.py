"""What sets the tasks apart once they are computed: what is read, the head, its loss, results."""
