"""The atoms' side of the server: enrolment, the control stream, blobs, certificates and commands."""
