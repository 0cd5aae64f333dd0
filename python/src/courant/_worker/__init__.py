"""Workers: one stream to the server, attempts at jobs, and what handlers see of them."""
