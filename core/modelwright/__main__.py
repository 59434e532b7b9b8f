from modelwright.cli import main

if __name__ == "__main__":  # checkpoint writers are spawned, and import this
    main()
