"""What is to be searched, how, and on which network: study files and what is built from them."""
