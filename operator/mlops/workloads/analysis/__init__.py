"""The program that judges a canary: is the candidate as good as the version that serves, as far as both answered?"""
