"""Python of a process, shut in: the program that runs it (`child`) and the side that starts and stops that (`process`)."""
