"""What each verb does, without a command line: explain, diff, edit, adopt, verify."""
