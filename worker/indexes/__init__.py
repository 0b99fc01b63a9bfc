"""Which indexes the policies need and the application is better off with, and creating one."""
